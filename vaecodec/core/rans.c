/* rANS: see vaecodec/entropy/rans.py for sources, and section 7 of bitstream_spec.md. */
#include "vaec_core.h"

#include "machine.h"

#define PRECISION 16
#define LOWEST (1u << PRECISION) /* a lane's state stays at or above it */
#define EVERY ((1 << PRECISION) / VAEC_LOOKUP)
#define MACHINES_MAX 128
#define SECOND 64 /* tables of quantiser 1 stand so far behind those of quantiser 0 */

int32_t vaec_abi(void) { return VAEC_ABI; }

int64_t vaec_rans_decode(uint32_t *x, int32_t used, int64_t n, const uint16_t *table, int32_t machines,
                         const vaec_tables *tables, const uint16_t *words, int64_t count, uint8_t *symbol,
                         uint8_t *quantiser, int64_t *taken) {
    uint8_t state[MACHINES_MAX] = {0};
    int64_t at = 0, first = 0;
    int32_t machine = 0;
    while (first < n) {
        int32_t lanes = n - first < used ? (int32_t)(n - first) : used;
        for (int32_t lane = 0; lane < lanes; lane++) {
            int64_t i = first + lane;
            uint32_t t = table[i];
            uint8_t q = machines ? (uint8_t)vaec_quantiser(state[machine]) : 0;
            t += SECOND * q;
            uint32_t slot = x[lane] & (LOWEST - 1), s = tables->lookup[t * VAEC_LOOKUP + slot / EVERY];
            const uint32_t *of = tables->symbols + (uint64_t)t * (uint32_t)tables->width + s;
            uint32_t beyond = slot - (*of & (LOWEST - 1));
            for (; beyond >= *of >> PRECISION; s++, of++) beyond -= *of >> PRECISION;
            x[lane] = (*of >> PRECISION) * (x[lane] >> PRECISION) + beyond;
            symbol[i] = (uint8_t)s;
            quantiser[i] = q;
            if (machines) {
                state[machine] = (uint8_t)vaec_next(state[machine], s & 1);
                machine = machine + 1 < machines ? machine + 1 : 0;
            }
        }
        first += lanes;
        for (int32_t lane = 0; lane < lanes; lane++) {
            if (x[lane] >= LOWEST) continue;
            if (at == count) {
                *taken = count + 1;
                return first;
            }
            x[lane] = (x[lane] << PRECISION) | words[at++];
        }
    }
    *taken = at;
    return n;
}

int64_t vaec_rans_encode(uint32_t *x, int32_t used, int64_t n, const uint16_t *table, const uint8_t *symbol,
                         const vaec_tables *tables, uint16_t *words) {
    uint16_t *out = words + n;
    for (int64_t i = n - 1; i >= 0; i--) {
        uint32_t of = tables->symbols[(uint64_t)table[i] * (uint32_t)tables->width + symbol[i]];
        uint32_t f = of >> PRECISION, *state = &x[i % used];
        if (!f) return VAEC_NO_SUCH_SYMBOL;
        if (*state >= (uint64_t)f << PRECISION) {
            *--out = (uint16_t)*state;
            *state >>= PRECISION;
        }
        *state = ((*state / f) << PRECISION) + *state % f + (of & (LOWEST - 1));
    }
    return words + n - out;
}
