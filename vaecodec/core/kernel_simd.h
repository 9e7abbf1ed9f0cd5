/* A kernel in terms of a few vector operations, which the file that includes this has defined:
 *
 *   LANES      int32 in a vector; twice as many int16
 *   POSITIONS  that are multiplied at a time, BLOCKS of 16 outputs each
 *   ints, halves, floats                      the types
 *   load_i, store_i, load_h, store_h, load_f  unaligned
 *   pair(p)          the two int16 at p, in all lanes
 *   dot(sum, a, b)   sum + a[2i] * b[2i] + a[2i + 1] * b[2i + 1]
 *   zip_low, zip_high(a, b)  int16 of a and b in turn, of the first and the last four of each eight
 *   round_i(sum, scale)      int32 nearest to the product, half to even; what is too large is INT32_MAX or MIN
 *   pack(a, b)       int16 of the int32 in a and b, saturated; pack_zipped: where these come from zip_low and zip_high
 *   add_h (saturating), min_h, max_h, set_h, zero_h, zero_i
 */
#include <string.h>

#include "filter.h"

#define VECTORS (BLOCK / LANES) /* of a block's outputs */
#define OUTPUTS (BLOCKS * BLOCK)
#define WIDE (2 * LANES)        /* int16 in a vector */
#define CHUNK 48                /* positions whose inputs stay near while all outputs are made */
#define UNROLL _Pragma("GCC unroll 32")
#define ALWAYS inline __attribute__((always_inline)) /* for each kind of call by itself */

static inline halves clamp_h(halves v, int32_t limit) {
    return max_h(min_h(v, set_h((int16_t)limit)), set_h((int16_t)-limit));
}

/* The sums of some positions and BLOCKS blocks of outputs, (POSITIONS, OUTPUTS). w: the first block's weights, `apart`
 * int16 from the next's. pairs: numbers of the pairs of inputs; NULL for 0..count. The sums are numbered by constants
 * alone, so that they stay in registers. */
static ALWAYS void sums(const int16_t *const *p, const int32_t *pairs, int32_t count, const int16_t *w, int64_t apart,
                        const int32_t *bias, int32_t *out) {
    ints total[POSITIONS][BLOCKS * VECTORS];
    UNROLL for (int j = 0; j < POSITIONS; j++)
        UNROLL for (int v = 0; v < BLOCKS * VECTORS; v++) total[j][v] = load_i(bias + v * LANES);
    for (int32_t number = 0; number < count; number++) {
        int64_t k = pairs ? pairs[number] : number;
        halves weight[BLOCKS * VECTORS];
        UNROLL for (int v = 0; v < BLOCKS * VECTORS; v++)
            weight[v] = load_h(w + 2 * BLOCK * k + v / VECTORS * apart + v % VECTORS * WIDE);
        UNROLL for (int j = 0; j < POSITIONS; j++) {
            halves x = pair(p[j] + 2 * k);
            UNROLL for (int v = 0; v < BLOCKS * VECTORS; v++) total[j][v] = dot(total[j][v], x, weight[v]);
        }
    }
    UNROLL for (int j = 0; j < POSITIONS; j++)
        UNROLL for (int v = 0; v < BLOCKS * VECTORS; v++) store_i(out + j * OUTPUTS + v * LANES, total[j][v]);
}

static inline void finish(const int32_t *total, const float *scale, enum vaec_result result, int32_t limit, void *out,
                          int64_t at) {
    if (result == VAEC_SUM || result == VAEC_ROUND) {
        int32_t *to = (int32_t *)out + at;
        UNROLL for (int v = 0; v < OUTPUTS; v += LANES) {
            ints sum = load_i(total + v);
            store_i(to + v, result == VAEC_SUM ? sum : round_i(sum, load_f(scale + v)));
        }
        return;
    }
    int16_t *to = (int16_t *)out + at;
    UNROLL for (int v = 0; v < OUTPUTS; v += WIDE) {
        halves made = pack(round_i(load_i(total + v), load_f(scale + v)),
                           round_i(load_i(total + v + LANES), load_f(scale + v + LANES)));
        if (result == VAEC_LEARN) made = clamp_h(made, limit);
        if (result != VAEC_SET) made = add_h(made, load_h(to + v));
        store_h(to + v, clamp_h(made, limit));
    }
}

static void linear(const vaec_linear *layer, int32_t first, int32_t outputs, const int16_t *x, int64_t stride,
                   int32_t inputs, int64_t n, enum vaec_result result, int32_t limit, void *out, int64_t step) {
    int64_t apart = (int64_t)BLOCK * layer->inputs;
    for (int64_t chunk = 0; chunk < n; chunk += CHUNK) {
        int64_t end = n - chunk < CHUNK ? n : chunk + CHUNK;
        for (int32_t o = 0; o < outputs; o += OUTPUTS) {
            const int16_t *w = layer->weight + (int64_t)(first + o) * layer->inputs;
            for (int64_t i = chunk; i < end; i += POSITIONS) {
                int count = end - i < POSITIONS ? (int)(end - i) : POSITIONS;
                const int16_t *p[POSITIONS];
                int32_t total[POSITIONS * OUTPUTS];
                UNROLL for (int j = 0; j < POSITIONS; j++) p[j] = x + (i + (j < count ? j : 0)) * stride;
                sums(p, NULL, inputs / 2, w, apart, layer->bias + first + o, total);
                for (int j = 0; j < count; j++)
                    finish(total + j * OUTPUTS, layer->scale + first + o, result, limit, out, (i + j) * step + o);
            }
        }
    }
}

static void sparse(const vaec_linear *layer, int32_t first, const int16_t *x, int64_t stride, const int32_t *pairs,
                   int32_t count, int64_t n, int32_t *out) {
    int64_t apart = (int64_t)BLOCK * layer->inputs;
    for (int32_t o = 0; o < VAEC_SPARSE; o += OUTPUTS) {
        const int16_t *w = layer->weight + (int64_t)(first + o) * layer->inputs;
        for (int64_t i = 0; i < n; i += POSITIONS) {
            int some = n - i < POSITIONS ? (int)(n - i) : POSITIONS;
            const int16_t *p[POSITIONS];
            int32_t total[POSITIONS * OUTPUTS];
            UNROLL for (int j = 0; j < POSITIONS; j++) p[j] = x + (i + (j < some ? j : 0)) * stride;
            sums(p, pairs, count, w, apart, layer->bias + first + o, total);
            for (int j = 0; j < some; j++)
                memcpy(out + (i + j) * VAEC_SPARSE + o, total + j * OUTPUTS, OUTPUTS * sizeof *total);
        }
    }
}

/* WIDE channels of one position, as features. p: where its nine taps are. at: of the vector among those of 32 channels. */
static inline halves convolved(const int16_t *const p[9], const int16_t *w, const int32_t *bias, const float *scale,
                               int32_t limit) {
    ints low = load_i(bias), high = load_i(bias + 16);
    UNROLL for (int tap = 0; tap < 9; tap += 2) {
        halves a = load_h(p[tap]), b = tap < 8 ? load_h(p[tap + 1]) : zero_h();
        low = dot(low, zip_low(a, b), load_h(w + tap / 2 * 64));
        high = dot(high, zip_high(a, b), load_h(w + tap / 2 * 64 + 32));
    }
    return clamp_h(pack_zipped(round_i(low, load_f(scale)), round_i(high, load_f(scale + 16))), limit);
}

static inline halves of_channels(const vaec_depthwise *layer, const int16_t *const p[9], int32_t c, int32_t limit) {
    const int16_t *there[9];
    int32_t group = c / 32 * 32, within = c % 32;
    UNROLL for (int tap = 0; tap < 9; tap++) there[tap] = p[tap] + c;
    return convolved(there, layer->weight + group * 10 + within, layer->bias + group + within / 2,
                     layer->scale + group + within / 2, limit);
}

/* a * b * part, half to even. */
static inline halves product(halves a, halves b, const float *part) {
    halves zero = zero_h();
    ints low = dot(zero_i(), zip_low(a, zero), zip_low(b, zero));
    ints high = dot(zero_i(), zip_high(a, zero), zip_high(b, zero));
    return pack_zipped(round_i(low, load_f(part)), round_i(high, load_f(part)));
}

static void depthwise(const vaec_depthwise *layer, const int16_t *const rows[3], int32_t width, int32_t gated,
                      int32_t limit, int32_t shift, int16_t *out) {
    static const int16_t nothing[VAEC_CHANNELS_MAX]; /* zeros, outside */
    float part[LANES];
    for (int i = 0; i < LANES; i++) part[i] = 1.0f / (float)(1 << shift);
    int32_t channels = gated ? layer->channels / 2 : layer->channels;
    for (int32_t j = 0; j < width; j++) {
        const int16_t *p[9];
        for (int32_t tap = 0; tap < 9; tap++) {
            int32_t column = j + tap % 3 - 1;
            const int16_t *row = rows[tap / 3];
            p[tap] = row && column >= 0 && column < width ? row + (int64_t)column * layer->channels : nothing;
        }
        for (int32_t c = 0; c < channels; c += WIDE) {
            halves v = of_channels(layer, p, c, limit);
            if (gated) {
                halves gate = clamp_h(of_channels(layer, p, c + channels, limit), 2 << shift);
                v = clamp_h(product(v, gate, part), limit);
            } else
                v = max_h(v, zero_h());
            store_h(out + (int64_t)j * channels + c, v);
        }
    }
}
