/* Symbols of a tile: where they are, what they stand for, and what they would cost. */
#include <math.h>

#include "vaec_core.h"

#define Y_MAX 16383
#define STEP 16 /* y_hat is in 1/16 of a quantiser step, */
#define HALF 13 /* and this is half a spacing of dependent quantisers */
#define SECOND 64

int32_t vaec_places(const uint8_t *map, int64_t n, int32_t count, int32_t channels, int32_t start, int32_t dependent,
                    const int64_t *number, int32_t *place, uint16_t *table) {
    int64_t at[2] = {0, number[0]}, end[2] = {number[0], number[0] + number[1]};
    for (int64_t i = 0; i < n; i++)
        for (int32_t c = 0; c < count; c++) {
            uint8_t t = map[i * count + c];
            if (t == VAEC_NOT_CODED) continue;
            int which = t < dependent;
            if (at[which] == end[which]) return VAEC_BAD_SIZE;
            place[at[which]] = (int32_t)(i * channels + start + c);
            table[at[which]++] = t;
        }
    return at[0] == end[0] && at[1] == end[1] ? VAEC_DONE : VAEC_BAD_SIZE;
}

int64_t vaec_values(int64_t n, const uint16_t *table, const uint8_t *quantiser, const uint8_t *symbol,
                    const int32_t *low, const int32_t *last, const int32_t *escape, int64_t escapes, int32_t *value) {
    int64_t used = 0;
    for (int64_t i = 0; i < n; i++) {
        int32_t t = table[i] + SECOND * quantiser[i];
        if (symbol[i] == last[t]) {
            if (used == escapes) return -1 - i;
            value[i] = escape[used++];
        } else
            value[i] = low[t] + symbol[i];
    }
    return used;
}

void vaec_add(int16_t *y_hat, const int32_t *place, const int32_t *value, const uint8_t *quantiser, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        int32_t r = value[i], more = STEP * r;
        if (quantiser) more = HALF * (2 * r - quantiser[i] * ((r > 0) - (r < 0)));
        int32_t y = y_hat[place[i]] + more;
        y_hat[place[i]] = (int16_t)(y < -Y_MAX ? -Y_MAX : y > Y_MAX ? Y_MAX : y);
    }
}

int64_t vaec_escapes(const uint8_t *data, int64_t size, int32_t limit, int32_t *value) {
    int64_t count = 0;
    for (int64_t at = 0; at < size;) {
        int32_t u = 0, length = 0;
        uint8_t byte;
        do {
            if (at == size) return VAEC_CUT_OFF;
            if (length == 3) return VAEC_LONG;
            byte = data[at++];
            u |= (byte & 127) << 7 * length++;
        } while (byte & 128);
        if (length > 1 && !byte) return VAEC_LONG;
        int32_t v = u >> 1 ^ -(u & 1);
        if (v > limit || v < -limit) return VAEC_TOO_LARGE;
        value[count++] = v;
    }
    return count;
}

typedef struct {
    const int32_t *low, *size;
    const float *bits;
    int32_t width;
} prices;

/* Cost of magnitude k of a kind, 2 * quantiser + parity, for a residual of d: the error's and the bits of its table. */
static float price(const prices *of, int32_t k, int32_t kind, float d, int32_t table, float lambda) {
    int32_t quantiser = kind >> 1, points = 2 * k - quantiser, last = of->size[table] - 1;
    float error = fabsf(d) - (float)(points > 0 ? points : 0) * ((float)HALF / STEP);
    int32_t symbol = (d < 0 ? -k : k) - of->low[table];
    if (symbol < 0 || symbol >= last) {
        symbol = last; /* an escape moves the machine by its own parity */
        if ((symbol & 1) != (kind & 1)) return INFINITY;
    }
    return lambda * error * error + of->bits[(int64_t)table * of->width + symbol];
}

void vaec_candidates(const float *d, const uint16_t *table, const float *lambda, int64_t n, const vaec_tables *tables,
                     const int32_t *low, const int32_t *size, const float *bits, int32_t chains, float *cost,
                     int32_t *value) {
    prices of = {low, size, bits, tables->width};
    for (int64_t i = 0; i < n; i++)
        for (int32_t kind = 0; kind < 4; kind++) {
            int32_t quantiser = kind >> 1, parity = kind & 1, t = table[i] + quantiser * SECOND;
            /* The nearest of this parity, and, where it pays, the next one nearer to 0. */
            float nearest = fabsf(d[i]) * (4.0f / HALF) + ((float)quantiser / 4 - (float)parity / 2);
            int32_t k = 2 * (int32_t)rintf(nearest) + parity;
            k = k < parity ? parity : k;
            float best = price(&of, k, kind, d[i], t, lambda[i]);
            if (k > 1) {
                float nearer = price(&of, k - 2, kind, d[i], t, lambda[i]);
                if (nearer < best) {
                    best = nearer;
                    k -= 2;
                }
            }
            cost[((i / chains) * 4 + kind) * chains + i % chains] = best;
            value[kind * n + i] = d[i] < 0 ? -k : k;
        }
}
