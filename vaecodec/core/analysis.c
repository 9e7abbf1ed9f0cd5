/* g_a, row by row: for encoders, in integers too, so that a picture makes the same file on every machine. */
#include <string.h>

#include "networks.h"

#define HALF_CELL (VAEC_CELL / 2)
#define HALF_INPUTS (HALF_CELL * HALF_CELL * 3)
#define INPUTS (VAEC_CELL * VAEC_CELL * 3)

typedef struct {
    uint8_t *pixels; /* (depth + 1, 16, 16 width, 3): rows whose y has not gone out */
    int16_t *cells;  /* a row of them as inputs of a layer */
    int32_t *sums;   /* (2, width, outputs): of the blocks and of the linear branch */
    vaec_pass pass;
    int32_t depth;
} analysis_state;

static analysis_state analysis_state_of(const vaec_analysis *net, int64_t height, int32_t width,
                                        vaec_memory *memory) {
    analysis_state s = {.depth = (net->chain.count + 1) / 2};
    int32_t inputs = net->leave.inputs > INPUTS ? net->leave.inputs : INPUTS;
    s.pixels = vaec_take(memory, (int64_t)(s.depth + 1) * width * INPUTS);
    s.cells = vaec_take_features(memory, (int64_t)width * inputs);
    s.sums = vaec_take_sums(memory, (int64_t)2 * width * net->leave.outputs);
    s.pass = vaec_pass_of_rows(memory, &net->chain, 2 * height, 2 * width);
    return s;
}

int64_t vaec_analysis_work(const vaec_analysis *net, int32_t width) {
    vaec_memory memory = {0};
    analysis_state_of(net, 0, width, &memory);
    return memory.used;
}

/* space_to_depth of `side` rows of pixels, each `count * side` wide, less 128. */
static void cells_of(const uint8_t *pixels, int32_t count, int32_t side, int16_t *out) {
    int64_t row = (int64_t)count * side * 3;
    for (int32_t j = 0; j < count; j++)
        for (int32_t i = 0; i < side; i++, out += side * 3) {
            const uint8_t *p = pixels + i * row + (int64_t)j * side * 3;
            for (int32_t k = 0; k < side * 3; k++) out[k] = (int16_t)(p[k] - 128);
        }
}

static void come_in(const vaec_analysis *net, const vaec_kernel *kernel, const uint8_t *pixels, int32_t width,
                    int64_t row, analysis_state *s) {
    int32_t channels = net->chain.channels;
    for (int32_t u = 0; u < 2; u++) {
        cells_of(pixels + (int64_t)u * HALF_CELL * width * VAEC_CELL * 3, 2 * width, HALF_CELL, s->cells);
        kernel->linear(&net->enter, 0, channels, s->cells, HALF_INPUTS, HALF_INPUTS, 2 * (int64_t)width, VAEC_SET,
                       net->chain.limit, vaec_pass_at(&net->chain, &s->pass, 2 * row + u), channels);
    }
}

static void go_out(const vaec_analysis *net, const vaec_kernel *kernel, const uint8_t *pixels, int32_t width,
                   int64_t row, analysis_state *s, const float *part, float bound, float *y) {
    int32_t outputs = net->leave.outputs, channels = net->chain.channels;
    int32_t *linear = s->sums + (int64_t)width * outputs;
    vaec_gather(vaec_pass_at(&net->chain, &s->pass, 2 * row), vaec_pass_at(&net->chain, &s->pass, 2 * row + 1), width,
                channels, s->cells);
    kernel->linear(&net->leave, 0, outputs, s->cells, 4 * channels, 4 * channels, width, VAEC_SUM, 0, s->sums, outputs);
    cells_of(pixels, width, VAEC_CELL, s->cells);
    kernel->linear(&net->shortcut, 0, outputs, s->cells, INPUTS, INPUTS, width, VAEC_SUM, 0, linear, outputs);
    for (int32_t j = 0; j < width; j++, y += outputs)
        for (int32_t c = 0; c < outputs; c++) {
            int64_t at = (int64_t)j * outputs + c;
            float v = ((float)s->sums[at] * net->leave.scale[c] + (float)linear[at] * net->shortcut.scale[c]) * part[c];
            y[c] = v < -bound ? -bound : v > bound ? bound : v;
        }
}

int32_t vaec_analysis_row(const vaec_analysis *net, const vaec_film *film, const float *part, float bound,
                          int64_t height, int32_t width, int64_t row, const uint8_t *pixels, float *y, void *work,
                          int64_t size) {
    vaec_memory memory = {.base = work, .size = size};
    analysis_state s = analysis_state_of(net, height, width, &memory);
    const vaec_kernel *kernel = vaec_kernel_of(net->chain.kernel);
    int64_t row_size = (int64_t)width * INPUTS, out = row - s.depth;
    if (!vaec_rounds_to_even()) return VAEC_BAD_ROUNDING;
    if (memory.used > size || !kernel || row < 0 || row >= height + s.depth || (row < height && !pixels))
        return VAEC_BAD_SIZE;
    if (row < height) {
        memcpy(s.pixels + row % (s.depth + 1) * row_size, pixels, (size_t)row_size);
        come_in(net, kernel, pixels, width, row, &s);
    }
    for (int32_t u = 0; u < 2; u++) vaec_pass_row(&net->chain, film, &s.pass, 2 * row + u);
    if (out < 0) return VAEC_DONE;
    go_out(net, kernel, s.pixels + out % (s.depth + 1) * row_size, width, out, &s, part, bound, y);
    return 1;
}
