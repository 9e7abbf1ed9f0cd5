/* Coverage-guided fuzzing of the native core's entry points, with sanitizers:
 *
 *     clang -g -O1 -fsanitize=fuzzer,address,undefined -Ivaecodec/core tools/check/core_fuzz.c vaecodec/core/rans.c \
 *         vaecodec/core/trellis.c -o runs/core_fuzz && runs/core_fuzz -max_total_time=1800 runs/core-corpus
 *
 * An input says how many lanes, machines and symbols there are, then the lanes' states, and then words. States may be
 * out of range, as in a damaged file. What is decoded is coded again where nothing has run out, and must be the words
 * that were read.
 */
#include <stdlib.h>
#include <string.h>

#include "vaec_core.h"

#define WIDTH 6
#define TABLES 130 /* as many as two quantisers have, and two */

static uint8_t lookup[TABLES * VAEC_LOOKUP];
static uint32_t symbols[TABLES * WIDTH];

static void fill_tables(void) {
    for (uint32_t t = 0; t < TABLES; t++) {
        uint32_t at = 0, size = 2 + t % (WIDTH - 1);
        for (uint32_t s = 0; s < size; s++) {
            uint32_t f = s + 1 < size ? 1 + (65536 - at - size) / (2 + t % 7) : 65536 - at;
            symbols[t * WIDTH + s] = f << 16 | at;
            for (uint32_t slot = (at + 15) / 16; slot * 16 < at + f; slot++) lookup[t * VAEC_LOOKUP + slot] = (uint8_t)s;
            at += f;
        }
    }
}

static void check(int good) {
    if (!good) abort();
}

static void run(const uint8_t *data, size_t size, int32_t used, int32_t machines, int64_t n) {
    static const vaec_tables tables = {lookup, symbols, TABLES, WIDTH};
    size_t head = (size_t)used * 4;
    if (size < head) return;
    /* Exactly as large as they may be, so that a step too far is seen. */
    uint32_t *x = malloc(head), *before = malloc(head);
    int64_t count = (int64_t)(size - head) / 2, taken = -1;
    uint16_t *words = malloc((size_t)count * 2), *table = malloc((size_t)n * 2), *again = malloc((size_t)n * 2);
    uint8_t *symbol = malloc((size_t)n), *quantiser = malloc((size_t)n);
    int sound = 1;
    memcpy(x, data, head);
    for (int32_t i = 0; i < used; i++) sound &= x[i] >= 1u << 16;
    memcpy(before, x, head);
    memcpy(words, data + head, (size_t)count * 2);
    for (int64_t i = 0; i < n; i++) table[i] = (uint16_t)((i * 7 + used) % (machines ? 64 : TABLES));
    int64_t read = vaec_rans_decode(x, used, n, table, machines, &tables, words, count, symbol, quantiser, &taken);
    check(0 <= read && read <= n && 0 <= taken && taken <= count + 1);
    for (int64_t i = 0; i < read; i++) check(quantiser[i] < 2 && symbol[i] < 2 + (table[i] + 64 * quantiser[i]) % 5);
    if (sound && taken <= count) {
        for (int64_t i = 0; i < n; i++) table[i] = (uint16_t)(table[i] + 64 * quantiser[i]);
        int64_t written = vaec_rans_encode(x, used, n, table, symbol, &tables, again);
        check(written == taken && !memcmp(again + n - written, words, (size_t)written * 2));
        check(!memcmp(x, before, head));
    }
    free(x), free(before), free(words), free(table), free(again), free(symbol), free(quantiser);
}

static void search(const uint8_t *data, size_t size, int64_t chains) {
    int64_t rounds = (int64_t)size / (4 * chains);
    size_t cells = (size_t)(rounds * 4 * chains);
    float *cost = malloc(cells * sizeof *cost);
    uint8_t *odd = malloc((size_t)rounds * VAEC_STATES * 32);
    int32_t *kind = malloc((size_t)(rounds * chains) * sizeof *kind);
    for (size_t i = 0; i < cells; i++) cost[i] = data[i];
    vaec_best_path(cost, rounds, chains, odd, kind);
    for (int64_t i = 0; i < rounds * chains; i++) check(0 <= kind[i] && kind[i] < 4);
    free(cost), free(odd), free(kind);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!symbols[0]) fill_tables();
    if (size < 4) return 0;
    if (data[0] & 1) {
        search(data + 4, size - 4, 1 + data[1] % 70);
        return 0;
    }
    int32_t used = 1 + data[1] % 128;
    /* A dependent run has no more lanes than machines. */
    int32_t machines = data[0] & 2 ? used + data[2] % (129 - used) : 0;
    run(data + 4, size - 4, used, machines, data[3] * (1 + data[2] % 16));
    return 0;
}
