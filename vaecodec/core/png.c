/* The filters of PNG's rows (PNG specification, section 9). A pixel is predicted by those to its left, above it, and to
 * the left of that one. */
#include "vaec_core.h"

#include <stdlib.h>
#include <string.h>

enum { NONE, SUB, UP, AVERAGE, PAETH, FILTERS };

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__linux__)
#define VECTORS __attribute__((target_clones("avx2", "default")))
#else
#define VECTORS
#endif

/* Which of a, b and c is nearest to a + b - c; the first of those that are equally near. */
static inline int paeth(int a, int b, int c) {
    int to_a = abs(b - c), to_b = abs(a - c), to_c = abs(a + b - 2 * c);
    int other = to_b <= to_c ? b : c;
    return to_a <= to_b && to_a <= to_c ? a : other;
}

/* One row of `size` bytes in pixels of `bpp`. With a constant `bpp` a compiler unrolls what is done for a pixel. */
static inline void undo(int filter, const uint8_t *restrict in, const uint8_t *restrict above, uint8_t *restrict out,
                        int64_t size, int bpp) {
    uint8_t left[8] = {0}, corner[8] = {0};
    switch (filter) {
    case NONE:
        memcpy(out, in, (size_t)size);
        break;
    case SUB:
        for (int64_t i = 0; i < size; i += bpp)
            for (int k = 0; k < bpp; k++) out[i + k] = left[k] = (uint8_t)(in[i + k] + left[k]);
        break;
    case UP:
        for (int64_t i = 0; i < size; i++) out[i] = (uint8_t)(in[i] + above[i]);
        break;
    case AVERAGE:
        for (int64_t i = 0; i < size; i += bpp)
            for (int k = 0; k < bpp; k++) out[i + k] = left[k] = (uint8_t)(in[i + k] + (left[k] + above[i + k]) / 2);
        break;
    case PAETH:
        for (int64_t i = 0; i < size; i += bpp)
            for (int k = 0; k < bpp; k++) {
                uint8_t b = above[i + k];
                out[i + k] = left[k] = (uint8_t)(in[i + k] + paeth(left[k], b, corner[k]));
                corner[k] = b;
            }
        break;
    }
}

int64_t vaec_png_unfilter(const uint8_t *in, int64_t rows, int64_t size, int32_t bpp, const uint8_t *above,
                          uint8_t *out) {
    for (int64_t row = 0; row < rows; row++, in += 1 + size, above = out, out += size) {
        if (in[0] >= FILTERS) return row;
        switch (bpp) {
        case 1: undo(in[0], in + 1, above, out, size, 1); break;
        case 2: undo(in[0], in + 1, above, out, size, 2); break;
        case 3: undo(in[0], in + 1, above, out, size, 3); break;
        default: undo(in[0], in + 1, above, out, size, 4); break;
        }
    }
    return rows;
}

/* All filters of one row, each into a row of `work`. What lies left of the first pixel is 0. */
VECTORS static void try_all(const uint8_t *restrict x, const uint8_t *restrict above, int64_t size, int bpp,
                            uint8_t *restrict work) {
    uint8_t *sub = work + SUB * size, *up = work + UP * size;
    uint8_t *average = work + AVERAGE * size, *nearest = work + PAETH * size;
    memcpy(work, x, (size_t)size);
    for (int64_t i = 0; i < bpp; i++) {
        sub[i] = x[i];
        up[i] = nearest[i] = (uint8_t)(x[i] - above[i]);
        average[i] = (uint8_t)(x[i] - above[i] / 2);
    }
    for (int64_t i = bpp; i < size; i++) {
        int16_t a = x[i - bpp], b = above[i], c = above[i - bpp];
        int16_t to_a = (int16_t)abs(b - c), to_b = (int16_t)abs(a - c), to_c = (int16_t)abs(a + b - 2 * c);
        int16_t other = to_b <= to_c ? b : c;
        sub[i] = (uint8_t)(x[i] - a);
        up[i] = (uint8_t)(x[i] - b);
        average[i] = (uint8_t)(x[i] - (a + b) / 2);
        nearest[i] = (uint8_t)(x[i] - (to_a <= to_b && to_a <= to_c ? a : other));
    }
}

/* The sum of magnitudes of bytes as signed numbers. */
VECTORS static int64_t magnitudes(const uint8_t *row, int64_t size) {
    int64_t sum = 0;
    for (int64_t start = 0; start < size; start += 1 << 16) {
        int64_t end = size - start < 1 << 16 ? size : start + (1 << 16);
        int32_t part = 0;
        for (int64_t i = start; i < end; i++) part += row[i] < 128 ? row[i] : 256 - row[i];
        sum += part;
    }
    return sum;
}

void vaec_png_filter(const uint8_t *x, int64_t rows, int64_t size, int32_t bpp, const uint8_t *above, uint8_t *work,
                     uint8_t *out) {
    for (int64_t row = 0; row < rows; row++, above = x, x += size, out += 1 + size) {
        int best = NONE;
        int64_t least = INT64_MAX;
        try_all(x, above, size, bpp, work);
        for (int filter = NONE; filter < FILTERS; filter++) {
            int64_t sum = magnitudes(work + filter * size, size);
            if (sum < least) best = filter, least = sum;
        }
        out[0] = (uint8_t)best;
        memcpy(out + 1, work + best * size, (size_t)size);
    }
}
