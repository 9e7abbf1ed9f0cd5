/* The cosine transform of blocks, for the encoder's guess of what the networks take: see vaecodec/codec/screen.py. */
#include <math.h>

#include "vaec_core.h"

#define SIDE VAEC_CELL
#define AT_A_TIME 16 /* factors of up to 2^60 whose product a double holds */

/* out = basis * in, transposed: twice, it is the transform of rows and of columns. */
static void transform(const float *restrict basis, const float *restrict in, float *restrict out) {
    for (int i = 0; i < SIDE; i++) {
        float sums[SIDE] = {0};
        for (int k = 0; k < SIDE; k++)
            for (int j = 0; j < SIDE; j++) sums[j] += basis[i * SIDE + k] * in[k * SIDE + j];
        for (int j = 0; j < SIDE; j++) out[j * SIDE + i] = sums[j];
    }
}

/* Sum of log(1 + worth c^2). */
static double bits_of(const float *c, float worth) {
    double sum = 0;
    for (int first = 0; first < SIDE * SIDE; first += AT_A_TIME) {
        double product = 1;
        for (int k = 0; k < AT_A_TIME; k++) {
            float more = c[first + k] * c[first + k] * worth;
            product *= 1 + (double)(more < 1e18f ? more : 1e18f);
        }
        sum += log(product);
    }
    return sum;
}

void vaec_block_costs(const uint8_t *rgb, int64_t h, int64_t w, const float *basis, const float *colours, float worth,
                      float *costs) {
    float above[3] = {0}, left[3] = {0}, plane[SIDE * SIDE], half[SIDE * SIDE], c[SIDE * SIDE];
    for (int64_t i = 0; i < h; i++)
        for (int64_t j = 0; j < w; j++) {
            double cost = 0;
            for (int colour = 0; colour < 3; colour++) {
                const float *mix = colours + 3 * colour;
                for (int y = 0; y < SIDE; y++) {
                    const uint8_t *p = rgb + (((i * SIDE + y) * w + j) * SIDE) * 3;
                    for (int x = 0; x < SIDE; x++)
                        plane[y * SIDE + x] = mix[0] * p[3 * x] + mix[1] * p[3 * x + 1] + mix[2] * p[3 * x + 2];
                }
                transform(basis, plane, half);
                transform(basis, half, c);
                float mean = c[0];
                c[0] -= j ? left[colour] : i ? above[colour] : mean; /* means are known from neighbours */
                left[colour] = mean;
                if (!j) above[colour] = mean;
                cost += bits_of(c, worth);
            }
            costs[i * w + j] = (float)cost;
        }
}
