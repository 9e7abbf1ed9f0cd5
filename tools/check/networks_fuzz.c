/* Coverage-guided fuzzing of the networks of the native core and of what is done with symbols, with sanitizers:
 *
 *     cmake -S vaecodec/core -B runs/fuzz -DCMAKE_C_COMPILER=clang -DVAEC_FUZZ=ON && cmake --build runs/fuzz
 *     runs/fuzz/networks_fuzz -max_total_time=1800 -max_len=4000 runs/networks-corpus
 *
 * An input says which part, how large, and then what a file controls: y_hat, z_hat, symbols, escapes. Weights are drawn
 * by its second byte, and keep to the overflow proof. All memory is exactly as large as it may be. Every kernel of this
 * machine must make the same of it as the plain one.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "vaec_core.h"

#define N 32 /* channels of everything */
#define LARGEST 12 /* positions a side */

static uint32_t seed;
static const uint8_t *left;
static size_t left_size;

static void check(int good) {
    if (!good) abort();
}

static int32_t drawn(int32_t most) {
    seed = seed * 1664525u + 1013904223u;
    return (int32_t)(seed >> 8) % (2 * most + 1) - most;
}

/* The next byte of the input; then those that are drawn. */
static uint8_t byte(void) {
    if (!left_size) return (uint8_t)drawn(127);
    left_size--;
    return *left++;
}

static int16_t word(void) {
    uint8_t low = byte();
    return (int16_t)(low | byte() << 8);
}

static void *some(size_t size) {
    void *memory = malloc(size ? size : 1);
    check(memory != NULL);
    return memory;
}

static int16_t *words(size_t count) {
    int16_t *p = some(count * 2);
    for (size_t i = 0; i < count; i++) p[i] = word();
    return p;
}

/* (outputs, inputs) with sums below 2^24 for inputs within 2047, or whatever `most` leaves room for. */
static vaec_linear linear(int32_t inputs, int32_t outputs, int32_t most) {
    int16_t *weight = some((size_t)inputs * (size_t)outputs * 2);
    int32_t *bias = some((size_t)outputs * 4);
    float *scale = some((size_t)outputs * 4);
    for (int32_t i = 0; i < inputs * outputs; i++) weight[i] = (int16_t)drawn(most);
    for (int32_t i = 0; i < outputs; i++) bias[i] = drawn(1 << 15), scale[i] = ldexpf(1, -(4 + drawn(3)));
    return (vaec_linear){weight, bias, scale, inputs, outputs};
}

static void free_linear(vaec_linear layer) {
    free((void *)layer.weight), free((void *)layer.bias), free((void *)layer.scale);
}

static vaec_chain chain(int32_t count, int32_t film, int32_t gated) {
    vaec_block *block = some((size_t)count * sizeof *block);
    for (int32_t i = 0; i < count; i++) {
        vaec_linear taps = linear(10, 2 * N, 600);
        for (int32_t c = 0; c < 20 * N; c++) /* the tenth tap is none */
            if (c % 320 >= 256 && c % 2) ((int16_t *)taps.weight)[c] = 0;
        vaec_depthwise middle = {taps.weight, taps.bias, taps.scale, 2 * N};
        block[i] = (vaec_block){linear(N, 2 * N, 200), middle, linear(gated ? N : 2 * N, N, 100), gated};
    }
    return (vaec_chain){block, count, N, film, 0, VAEC_FEATURE_MAX, 7};
}

static void free_chain(vaec_chain chain) {
    for (int32_t i = 0; i < chain.count; i++) {
        const vaec_block *b = &chain.block[i];
        free_linear(b->first), free_linear(b->last);
        free((void *)b->middle.weight), free((void *)b->middle.bias), free((void *)b->middle.scale);
    }
    free((void *)chain.block);
}

/* What one kernel makes of an input: bytes that must be those of the others. */
typedef struct {
    uint8_t *data;
    size_t size;
} made;

static made hyper(int32_t kernel, int32_t h, int32_t w) {
    int32_t zh = (h + 3) / 4, zw = (w + 3) / 4;
    vaec_hyper net = {linear(N, 4 * N, 200), linear(N, 4 * N, 200), chain(1, -1, 1), chain(1, -1, byte() & 1)};
    net.first.kernel = net.then.kernel = kernel;
    int16_t *z = some((size_t)zh * (size_t)zw * N * 2), *bias = words(N);
    for (int32_t i = 0; i < zh * zw * N; i++) z[i] = (int16_t)(16 * ((int8_t)byte() / 2));
    made out = {some((size_t)h * (size_t)w * N * 2), (size_t)h * (size_t)w * N * 2};
    int64_t size = vaec_hyper_work(&net, zh, zw);
    void *work = some((size_t)size);
    check(vaec_hyper_synthesis(&net, bias, zh, zw, z, h, w, (int16_t *)out.data, work, size) == VAEC_DONE);
    check(vaec_hyper_synthesis(&net, bias, zh, zw, z, h, w, (int16_t *)out.data, work, size - 64) == VAEC_BAD_SIZE);
    free(work), free(z), free(bias);
    free_linear(net.enter), free_linear(net.up), free_chain(net.first), free_chain(net.then);
    return out;
}

/* A context step, the places that it gives, and symbols at them. */
static made context(int32_t kernel, int32_t h, int32_t w) {
    int32_t channels = 40, start = byte() % 20, count = 1 + byte() % 20, known = byte() % 33;
    int32_t skip = byte() % 64, dependent = byte() % 65;
    vaec_context net = {linear(N, N, 200), linear(N, 2 * N, 120), chain(byte() % 3, -1, 1),
                        known, start, count, N, byte() & 1};
    net.chain.kernel = kernel;
    size_t positions = (size_t)h * (size_t)w;
    int16_t *features = words(positions * N), *y_hat = words(positions * 40);
    for (size_t i = 0; i < positions * N; i++) features[i] = (int16_t)(features[i] / 17);
    int32_t *bias = some((size_t)count * 4);
    for (int32_t i = 0; i < count; i++) bias[i] = word() / 16;
    uint8_t *table = some(positions * (size_t)count);
    int64_t number[2], size = vaec_context_work(&net, h, w);
    void *work = some((size_t)size);
    check(vaec_context_step(&net, h, w, features, y_hat, channels, bias, skip, dependent, table, number, work, size) ==
          VAEC_DONE);
    size_t n = (size_t)(number[0] + number[1]);
    int32_t *place = some(n * 4), *value = some(n * 4);
    uint16_t *tables = some(n * 2);
    check(vaec_places(table, (int64_t)positions, count, channels, start, dependent, number, place, tables) == VAEC_DONE);
    uint8_t *quantiser = some(n), *symbol = some(n);
    int32_t low[128], last[128], escape[3] = {32767, -32767, 5};
    for (int32_t i = 0; i < 128; i++) low[i] = -2 * (i % 20), last[i] = 1 + 2 * (i % 20);
    for (size_t i = 0; i < n; i++) {
        check(tables[i] < 64 && tables[i] >= skip && place[i] >= 0 && (size_t)place[i] < positions * 40);
        quantiser[i] = byte() & 1, symbol[i] = byte() % (uint8_t)(last[tables[i] + 64 * quantiser[i]] + 1), value[i] = 0;
    }
    int64_t used = vaec_values((int64_t)n, tables, quantiser, symbol, low, last, escape, 3, value);
    check(used <= 3 && used >= -1 - (int64_t)n);
    vaec_add(y_hat, place, value, byte() & 1 ? quantiser : NULL, (int64_t)n);
    made out = {(uint8_t *)y_hat, positions * 80};
    free(work), free(features), free(bias), free(table), free(place), free(value), free(tables), free(quantiser);
    free(symbol), free_linear(net.enter), free_linear(net.leave), free_chain(net.chain);
    return out;
}

static made synthesis(int32_t kernel, int32_t h, int32_t w) {
    int32_t blocks = byte() % 4, channels = 1 + byte() % N, depth = (blocks + 1) / 2;
    vaec_linear enter = linear(N, 4 * N, 32767), shortcut = linear(N, 768, 32767);
    int32_t *biases[2] = {some(4 * N * 4), some(768 * 4)};
    for (int32_t i = 0; i < 4 * N; i++) biases[0][i] = enter.bias[i], ((int32_t *)enter.bias)[i] = 0;
    for (int32_t i = 0; i < 768; i++) biases[1][i] = shortcut.bias[i], ((int32_t *)shortcut.bias)[i] = 0;
    vaec_synthesis net = {{enter, biases[0]}, {shortcut, biases[1]}, linear(N, 192, 200),
                          chain(blocks, blocks / 2, byte() & 1), channels, 11, 3};
    net.chain.kernel = kernel;
    int32_t *step = some((size_t)channels * 4), film_rows[2][N];
    for (int32_t i = 0; i < channels; i++) step[i] = 1 + (uint16_t)word() % 32767;
    for (int32_t i = 0; i < N; i++) film_rows[0][i] = byte() * 2, film_rows[1][i] = word() % 2048;
    vaec_film film = {film_rows[0], film_rows[1], 6};
    int64_t size = vaec_synthesis_work(&net, w);
    void *work = some((size_t)size);
    size_t row_size = (size_t)w * 16 * 16 * 2;
    made out = {some(3 * row_size * (size_t)h), 3 * row_size * (size_t)h};
    int32_t gone = 0;
    for (int64_t row = 0; row < h + depth; row++) {
        int16_t *y = row < h ? words((size_t)w * (size_t)channels) : NULL;
        int16_t *planes[3];
        for (int32_t c = 0; c < 3; c++) planes[c] = (int16_t *)(out.data + (3 * (size_t)gone + (size_t)c) * row_size);
        int32_t result = vaec_synthesis_row(&net, step, &film, h, w, row, y, planes, 16 * (int64_t)w, work, size);
        check(result == (row >= depth));
        gone += result;
        free(y);
    }
    int16_t *planes[3] = {NULL, NULL, NULL};
    check(gone == h && vaec_synthesis_row(&net, step, &film, h, w, h + depth, NULL, planes, 0, work, size) < 0);
    free(work), free(step), free(biases[0]), free(biases[1]);
    free_linear(enter), free_linear(shortcut), free_linear(net.leave), free_chain(net.chain);
    return out;
}

static made filter(int32_t kernel, int32_t h, int32_t w) {
    int32_t height = 1 + byte() % (16 * h), width = 1 + byte() % (16 * w), stride = width + 6;
    size_t size = (size_t)(height + 6) * (size_t)stride;
    int16_t *planes[3];
    int32_t coefficients[36]; /* of a strength of at most 56000 */
    const int16_t *inside[3];
    for (int32_t i = 0; i < 36; i++) coefficients[i] = i % 24 < (i < 24 ? 12 : 6) ? (int8_t)byte() / 12 : word() / 33;
    for (int32_t c = 0; c < 3; c++) {
        planes[c] = words(size);
        for (size_t i = 0; i < size; i++) planes[c][i] = (int16_t)(planes[c][i] / (c ? 16 : 8));
        inside[c] = planes[c] + 3 * stride + 3;
    }
    made out = {some((size_t)(height * width) * 3), (size_t)(height * width) * 3};
    vaec_filter(kernel, coefficients, inside, stride, height, width, out.data, 3 * (int64_t)width);
    for (int32_t c = 0; c < 3; c++) free(planes[c]);
    return out;
}

static made analysis(int32_t kernel, int32_t h, int32_t w) {
    int32_t blocks = byte() % 4, depth = (blocks + 1) / 2;
    vaec_analysis net = {linear(192, N, 600), linear(4 * N, N, 100), linear(768, N, 600), chain(blocks, blocks / 2, 1)};
    net.chain.kernel = kernel;
    int32_t film_rows[2][N] = {{0}};
    float part[N];
    for (int32_t i = 0; i < N; i++) film_rows[0][i] = byte() * 32, part[i] = 1.0f / (float)(1 + byte());
    vaec_film film = {film_rows[0], film_rows[1], 10};
    int64_t size = vaec_analysis_work(&net, w);
    void *work = some((size_t)size);
    made out = {some((size_t)(h * w * N) * 4), (size_t)(h * w * N) * 4};
    float *y = (float *)out.data;
    for (int64_t row = 0; row < h + depth; row++) {
        uint8_t *pixels = row < h ? some((size_t)w * 768) : NULL;
        for (int32_t i = 0; pixels && i < w * 768; i++) pixels[i] = byte();
        int32_t result = vaec_analysis_row(&net, &film, part, 1023, h, w, row, pixels, y, work, size);
        check(result == (row >= depth));
        y += result * w * N;
        free(pixels);
    }
    free(work), free_linear(net.enter), free_linear(net.leave), free_linear(net.shortcut), free_chain(net.chain);
    return out;
}

static made hyper_analysis(int32_t kernel, int32_t h, int32_t w) {
    h = (h + 3) / 4 * 4, w = (w + 3) / 4 * 4;
    vaec_hyper_analysis net = {linear(N, N, 60), linear(4 * N, N, 60), linear(4 * N, N, 60), chain(1, -1, 1),
                               chain(1, -1, 1)};
    net.first.kernel = net.then.kernel = kernel;
    int16_t *y = words((size_t)(h * w * N));
    int64_t size = vaec_hyper_analysis_work(&net, h, w);
    void *work = some((size_t)size);
    made out = {some((size_t)(h / 4 * w / 4 * N) * 4), (size_t)(h / 4 * w / 4 * N) * 4};
    check(vaec_hyper_analyse(&net, h, w, y, (float *)out.data, work, size) == VAEC_DONE);
    free(work), free(y), free_linear(net.enter), free_linear(net.down), free_linear(net.leave);
    free_chain(net.first), free_chain(net.then);
    return out;
}

/* Escapes, and the costs of symbols. No kernel has a part in it. */
static made symbols(int32_t kernel, int32_t h, int32_t w) {
    (void)kernel;
    enum { TABLES = 128, WIDTH = 30 };
    static const uint8_t lookup;
    static const uint32_t packed;
    int32_t low[TABLES], size[TABLES], chains = 1 + byte() % 16, n = h * w;
    float *bits = some(TABLES * WIDTH * 4), *d = some((size_t)n * 4), *lambda = some((size_t)n * 4);
    uint16_t *table = some((size_t)n * 2);
    for (int32_t i = 0; i < TABLES; i++) size[i] = 2 + byte() % (WIDTH - 1), low[i] = -(int32_t)(byte() % 30);
    for (int32_t i = 0; i < TABLES * WIDTH; i++) bits[i] = (float)byte() / 8;
    for (int32_t i = 0; i < n; i++) d[i] = (float)word() / 16, lambda[i] = byte(), table[i] = byte() % 64;
    vaec_tables tables = {&lookup, &packed, TABLES, WIDTH};
    size_t cells = (size_t)((n + chains - 1) / chains * 4 * chains);
    made out = {some(cells * 4), cells * 4};
    memset(out.data, 0, out.size);
    int32_t *value = some((size_t)n * 16);
    vaec_candidates(d, table, lambda, n, &tables, low, size, bits, chains, (float *)out.data, value);
    int32_t *escape = some(left_size * 4);
    int64_t count = vaec_escapes(left, (int64_t)left_size, 32767, escape);
    check(count >= VAEC_TOO_LARGE && count <= (int64_t)left_size);
    for (int64_t i = 0; i < count; i++) check(escape[i] <= 32767 && escape[i] >= -32767);
    free(bits), free(d), free(lambda), free(table), free(value), free(escape);
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static made (*const parts[])(int32_t, int32_t, int32_t) = {hyper,    context,        synthesis, filter,
                                                               analysis, hyper_analysis, symbols};
    enum { PARTS = sizeof parts / sizeof *parts };
    if (size < 4) return 0;
    int32_t h = 1 + data[2] % LARGEST, w = 1 + data[3] % LARGEST;
    made first = {0};
    for (int32_t kernel = 0; kernel < VAEC_KERNELS; kernel++) {
        if (!vaec_kernel_name(kernel)) continue;
        seed = data[1], left = data + 4, left_size = size - 4;
        made out = parts[data[0] % PARTS](kernel, h, w);
        if (first.data) {
            check(out.size == first.size && !memcmp(out.data, first.data, out.size));
            free(out.data);
        } else
            first = out;
    }
    free(first.data);
    return 0;
}
