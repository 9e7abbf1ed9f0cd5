/* The loop filter (section 9), for each kernel to compile with its own instructions. */
#ifndef VAEC_FILTER_H
#define VAEC_FILTER_H

#include "kernel.h"

#define LUMA 12
#define CHROMA 6
#define STRIP 64 /* pixels at a time, whose sums stay near */

static const int8_t OFFSETS[LUMA][2] = {{0, 1}, {0, 2}, {0, 3},  {1, -2}, {1, -1}, {1, 0},
                                        {1, 1}, {1, 2}, {2, -1}, {2, 0},  {2, 1},  {3, 0}};
static const int8_t CHROMA_OFFSETS[CHROMA][2] = {{0, 1}, {0, 2}, {1, -1}, {1, 0}, {1, 1}, {2, 0}};

/* Adds what an offset's two neighbours move samples by. plain, clipped: its coefficients. */
static void weigh(int32_t *restrict sum, const int16_t *restrict p, const int16_t *restrict after,
                  const int16_t *restrict before, int32_t plain, int32_t clipped, int16_t bound, int32_t count) {
    int16_t low = (int16_t)-bound;
    for (int32_t i = 0; i < count; i++) {
        int16_t u = (int16_t)(after[i] - p[i]), v = (int16_t)(before[i] - p[i]);
        int16_t cu = u < low ? low : u, cv = v < low ? low : v;
        cu = cu > bound ? bound : cu;
        cv = cv > bound ? bound : cv;
        sum[i] += plain * (u + v) + clipped * (cu + cv);
    }
}

/* Samples of one plane in 1/128 of their unit. */
static void plane(int32_t *sum, const int16_t *p, int64_t stride, const int32_t *coefficients, const int8_t (*offset)[2],
                  int32_t offsets, int16_t bound, int32_t count) {
    for (int32_t i = 0; i < count; i++) sum[i] = 128 * p[i];
    for (int32_t k = 0; k < offsets; k++) {
        int32_t plain = coefficients[k], clipped = coefficients[offsets + k];
        int64_t away = offset[k][0] * stride + offset[k][1];
        if (plain || clipped) weigh(sum, p, p + away, p - away, plain, clipped, bound, count);
    }
}

static void filter(const int32_t *coefficients, const int16_t *const planes[3], int64_t stride, int32_t width,
                   uint8_t *rgb) {
    int32_t s[STRIP], d[STRIP], e[STRIP];
    const int32_t *colour = coefficients + 2 * LUMA;
    for (int32_t first = 0; first < width; first += STRIP) {
        int32_t count = width - first < STRIP ? width - first : STRIP;
        plane(s, planes[0] + first, stride, coefficients, OFFSETS, LUMA, 128, count);
        plane(d, planes[1] + first, stride, colour, CHROMA_OFFSETS, CHROMA, 32, count);
        plane(e, planes[2] + first, stride, colour, CHROMA_OFFSETS, CHROMA, 32, count);
        for (int32_t i = 0; i < count; i++) {
            int32_t green = s[i] - d[i] - e[i];
            int32_t of[3] = {green + 4 * d[i], green, green + 4 * e[i]};
            for (int32_t c = 0; c < 3; c++)
                rgb[3 * (first + i) + c] = (uint8_t)vaec_clamp(vaec_shift(of[c], 12) + 128, 0, 255);
        }
    }
}

#endif
