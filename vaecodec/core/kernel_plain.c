/* The definition of all kernels, in plain C: for machines that have no other, and for the tests. */
#include <math.h>

#include "kernel.h"
#include "filter.h"

static int usable(void) { return 1; }

/* To the nearest integer, half to even, as far as an int32 goes. Sums below 2^24 are exact in a float; larger ones, of
 * encoders alone, are rounded to one first, here as in vector instructions. */
static int32_t rounded(int32_t sum, float scale) {
    float v = nearbyintf((float)sum * scale);
    return v >= 2147483648.0f ? INT32_MAX : v < -2147483648.0f ? INT32_MIN : (int32_t)v;
}

static void finish(int32_t sum, float scale, enum vaec_result result, int32_t limit, void *out, int64_t at) {
    int16_t *features = out;
    if (result == VAEC_SUM || result == VAEC_ROUND) {
        ((int32_t *)out)[at] = result == VAEC_SUM ? sum : rounded(sum, scale);
        return;
    }
    int32_t most = result == VAEC_ADD ? INT16_MAX : limit, v = vaec_clamp(rounded(sum, scale), -most, most);
    features[at] = (int16_t)(result == VAEC_SET ? v : vaec_clamp(features[at] + v, -limit, limit));
}

static void linear(const vaec_linear *layer, int32_t first, int32_t outputs, const int16_t *x, int64_t stride,
                   int32_t inputs, int64_t n, enum vaec_result result, int32_t limit, void *out, int64_t step) {
    for (int64_t i = 0; i < n; i++)
        for (int32_t o = 0; o < outputs; o++) {
            int32_t output = first + o, sum = layer->bias[output];
            const int16_t *w = layer->weight + (int64_t)(output / BLOCK) * BLOCK * layer->inputs + output % BLOCK * 2;
            for (int32_t k = 0; k < inputs; k++) sum += x[i * stride + k] * w[k / 2 * 2 * BLOCK + k % 2];
            finish(sum, layer->scale[output], result, limit, out, i * step + o);
        }
}

static void sparse(const vaec_linear *layer, int32_t first, const int16_t *x, int64_t stride, const int32_t *pairs,
                   int32_t count, int64_t n, int32_t *out) {
    for (int64_t i = 0; i < n; i++)
        for (int32_t o = 0; o < VAEC_SPARSE; o++) {
            int32_t output = first + o, sum = layer->bias[output];
            const int16_t *w = layer->weight + (int64_t)(output / BLOCK) * BLOCK * layer->inputs + output % BLOCK * 2;
            for (int32_t k = 0; k < 2 * count; k++) {
                int32_t input = 2 * pairs[k / 2] + k % 2;
                sum += x[i * stride + input] * w[input / 2 * 2 * BLOCK + k % 2];
            }
            out[i * VAEC_SPARSE + o] = sum;
        }
}

/* One channel of one position, as a feature. See vaec_depthwise for the order of its numbers. */
static int32_t convolved(const vaec_depthwise *layer, const int16_t *const rows[3], int32_t width, int32_t j,
                         int32_t c, int32_t limit) {
    int32_t lane = c % 8 % 4, half = c % 8 / 4, group = c % 32 / 8, at = c / 32 * 32 + half * 16 + group * 4 + lane;
    const int16_t *w = layer->weight + (int64_t)(c / 32) * 320 + half * 32 + group * 8 + lane * 2;
    int32_t sum = layer->bias[at];
    for (int32_t tap = 0; tap < 9; tap++) {
        int32_t column = j + tap % 3 - 1;
        const int16_t *row = rows[tap / 3];
        if (row && column >= 0 && column < width)
            sum += row[(int64_t)column * layer->channels + c] * w[tap / 2 * 64 + tap % 2];
    }
    return vaec_clamp(rounded(sum, layer->scale[at]), -limit, limit);
}

static void depthwise(const vaec_depthwise *layer, const int16_t *const rows[3], int32_t width, int32_t gated,
                      int32_t limit, int32_t shift, int16_t *out) {
    int32_t channels = gated ? layer->channels / 2 : layer->channels;
    for (int32_t j = 0; j < width; j++)
        for (int32_t c = 0; c < channels; c++) {
            int32_t v = convolved(layer, rows, width, j, c, limit);
            if (gated) {
                int32_t most = 2 << shift;
                int32_t gate = vaec_clamp(convolved(layer, rows, width, j, c + channels, limit), -most, most);
                v = vaec_clamp(rounded(v * gate, ldexpf(1, -shift)), -limit, limit);
            } else if (v < 0)
                v = 0;
            out[(int64_t)j * channels + c] = (int16_t)v;
        }
}

const vaec_kernel vaec_plain = {"plain", usable, linear, sparse, depthwise, filter};
