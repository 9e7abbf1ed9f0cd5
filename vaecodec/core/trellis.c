/* The search of dependent quantisation: see vaecodec/entropy/trellis.py. Single precision, and nothing but sums and
 * comparisons, so that every machine finds the same way. */
#include "vaec_core.h"

#include "machine.h"

#define SIDE 32 /* chains searched side by side */
#define HALF (VAEC_STATES / 2)
#define FAR 1e9f

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__linux__)
#define VECTORS __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define VECTORS
#endif

/* The state from which each state is reached by a symbol of parity 0 and of parity 1. */
static void sources(uint8_t from[2][VAEC_STATES]) {
    for (int state = 0; state < VAEC_STATES; state++)
        for (int parity = 0; parity < 2; parity++)
            from[parity][vaec_next(state, parity)] = (uint8_t)state;
}

/* One round: what it costs to be in each state, by the better of the two ways into it. The lower half of the states is
 * reached from quantiser 0, the upper half from quantiser 1. */
VECTORS static void step(const float (*restrict before)[SIDE], float (*restrict after)[SIDE],
                         const float (*restrict cost)[SIDE], uint8_t (*restrict odd)[SIDE],
                         const uint8_t (*restrict from)[VAEC_STATES]) {
    for (int state = 0; state < VAEC_STATES; state++) {
        const float *restrict even_way = before[from[0][state]], *restrict odd_way = before[from[1][state]];
        const float *restrict even_cost = cost[state < HALF ? 0 : 2], *restrict odd_cost = cost[state < HALF ? 1 : 3];
        for (int c = 0; c < SIDE; c++) {
            float a = even_way[c] + even_cost[c], b = odd_way[c] + odd_cost[c];
            odd[state][c] = b < a;
            after[state][c] = b < a ? b : a;
        }
    }
}

static void search(const float *cost, int64_t rounds, int64_t chains, int64_t first, int wide, uint8_t *odd,
                   float (*total)[VAEC_STATES][SIDE], const uint8_t (*from)[VAEC_STATES]) {
    for (int state = 0; state < VAEC_STATES; state++)
        for (int c = 0; c < SIDE; c++) total[0][state][c] = state ? FAR : 0;
    float now[4][SIDE] = {{0}};
    for (int64_t r = 0; r < rounds; r++) {
        for (int kind = 0; kind < 4; kind++)
            for (int c = 0; c < wide; c++) now[kind][c] = cost[(r * 4 + kind) * chains + first + c];
        step((const float(*)[SIDE])total[r & 1], total[(r + 1) & 1], (const float(*)[SIDE])now,
             (uint8_t(*)[SIDE])(odd + r * VAEC_STATES * SIDE), from);
    }
}

void vaec_best_path(const float *cost, int64_t rounds, int64_t chains, uint8_t *odd, int32_t *kind) {
    uint8_t from[2][VAEC_STATES];
    float total[2][VAEC_STATES][SIDE];
    sources(from);
    for (int64_t first = 0; first < chains; first += SIDE) {
        int wide = chains - first < SIDE ? (int)(chains - first) : SIDE;
        search(cost, rounds, chains, first, wide, odd, total, (const uint8_t(*)[VAEC_STATES])from);
        float(*end)[SIDE] = total[rounds & 1];
        int state[SIDE] = {0};
        for (int c = 0; c < wide; c++)
            for (int s = 1; s < VAEC_STATES; s++)
                if (end[s][c] < end[state[c]][c]) state[c] = s;
        for (int64_t r = rounds - 1; r >= 0; r--)
            for (int c = 0; c < wide; c++) {
                int parity = odd[(r * VAEC_STATES + state[c]) * SIDE + c];
                kind[r * chains + first + c] = (state[c] >= HALF) * 2 + parity;
                state[c] = from[parity][state[c]];
            }
    }
}
