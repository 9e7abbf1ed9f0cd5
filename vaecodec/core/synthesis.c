/* g_s, row by row, and the loop filter. */
#include <string.h>

#include "networks.h"

#define Y_MAX (1 << 23)
#define X_MAX (1 << 20)
#define SAMPLE_MAX 1024
#define LINES 24 /* positions of wide layers that are multiplied at a time */
#define HALF_CELL (VAEC_CELL / 2)

/* A row of y, for wide layers: inputs are split into signed pieces, the lowest first. Many are 0, all pieces or the
 * highest: of LINES positions only those pairs of inputs count that are not 0 in all of them. */
typedef struct {
    int16_t *piece; /* (pieces, width, channels) */
    int32_t *pairs; /* (pieces, lines of LINES, channels / 2): numbers of pairs, */
    int32_t *count; /* (pieces, lines): and how many there are */
    int32_t *sums;  /* (pieces, LINES, VAEC_SPARSE) */
    int32_t *left;  /* (channels): what is not split yet */
    int16_t *seen;  /* (channels): bits that are set somewhere */
    int32_t width, padded, lines, pieces;
} split_row;

static void split_take(vaec_memory *memory, const vaec_synthesis *net, int32_t width, split_row *row) {
    int32_t padded = net->enter.sums.inputs, lines = (width + LINES - 1) / LINES;
    row->width = width, row->padded = padded, row->lines = lines, row->pieces = net->pieces;
    row->piece = vaec_take_features(memory, (int64_t)net->pieces * width * padded);
    row->pairs = vaec_take_sums(memory, (int64_t)net->pieces * lines * padded / 2);
    row->count = vaec_take_sums(memory, (int64_t)net->pieces * lines);
    row->sums = vaec_take_sums(memory, (int64_t)net->pieces * LINES * VAEC_SPARSE);
    row->left = vaec_take_sums(memory, padded);
    row->seen = vaec_take_features(memory, (int64_t)net->pieces * padded);
}

/* One piece of each number, whose bits `seen` collects; what is left of it for higher pieces stays in its place. */
static void take_piece(int32_t *restrict left, int16_t *restrict piece, int16_t *restrict seen, int32_t count,
                       int32_t bits) {
    int32_t half = 1 << (bits - 1), one = 1 << bits;
    for (int32_t c = 0; c < count; c++) {
        int32_t rest = (left[c] + half) >> bits;
        piece[c] = (int16_t)(left[c] - rest * one);
        seen[c] = (int16_t)(seen[c] | piece[c]);
        left[c] = rest;
    }
}

static void multiply(int32_t *restrict out, const int16_t *restrict y, const int32_t *restrict step, int32_t count) {
    for (int32_t c = 0; c < count; c++) out[c] = vaec_clamp(y[c] * step[c], -Y_MAX, Y_MAX);
}

/* The pieces of one position. */
static void split_one(const vaec_synthesis *net, const int32_t *step, const int16_t *y, int64_t j, split_row *row) {
    multiply(row->left, y, step, net->channels);
    for (int32_t c = net->channels; c < row->padded; c++) row->left[c] = 0;
    for (int32_t p = 0; p < row->pieces; p++)
        take_piece(row->left, row->piece + (p * (int64_t)row->width + j) * row->padded, row->seen + p * row->padded,
                   row->padded, net->bits);
}

static void split(const vaec_synthesis *net, const int32_t *step, const int16_t *y, split_row *row) {
    for (int32_t line = 0; line < row->lines; line++) {
        int32_t end = (line + 1) * LINES < row->width ? (line + 1) * LINES : row->width;
        memset(row->seen, 0, (size_t)row->pieces * (size_t)row->padded * sizeof *row->seen);
        for (int32_t j = line * LINES; j < end; j++) split_one(net, step, y + (int64_t)j * net->channels, j, row);
        for (int32_t p = 0; p < row->pieces; p++) {
            const int16_t *seen = row->seen + p * row->padded;
            int32_t *pairs = row->pairs + ((int64_t)p * row->lines + line) * row->padded / 2, count = 0;
            for (int32_t k = 0; k < row->padded / 2; k++)
                if (seen[2 * k] | seen[2 * k + 1]) pairs[count++] = k;
            row->count[p * row->lines + line] = count;
        }
    }
}

/* To the nearest integer, half to even: |v| is below 2^51, and sums of doubles are rounded so. */
static double to_integer(double v) {
    const double one = 6755399441055744.0; /* 1.5 * 2^52 */
    return (v + one) - one;
}

/* The outputs of one position of a block, in their own unit, from the sums of the pieces. */
static void join(const vaec_wide *layer, const split_row *row, int32_t bits, int32_t pieces, int32_t j, int32_t first,
                 double limit, double *total) {
    for (int32_t o = 0; o < VAEC_SPARSE; o++) total[o] = 0;
    for (int32_t p = pieces - 1; p >= 0; p--) {
        const int32_t *sums = row->sums + ((int64_t)p * LINES + j) * VAEC_SPARSE;
        for (int32_t o = 0; o < VAEC_SPARSE; o++) total[o] = total[o] * (1 << bits) + sums[o];
    }
    for (int32_t o = 0; o < VAEC_SPARSE; o++) {
        double v = to_integer((total[o] * (1.0 / 512) + layer->bias[first + o]) * layer->sums.scale[first + o]);
        total[o] = v < -limit ? -limit : v > limit ? limit : v;
    }
}

/* Outputs first..first + count of a wide layer, of a split row: features or pixels (width, count), one of them NULL. */
static void wide(const vaec_kernel *kernel, const vaec_wide *layer, int32_t bits, const split_row *row, int32_t first,
                 int32_t count, int16_t *features, int32_t *pixels) {
    double total[VAEC_SPARSE];
    for (int32_t line = 0; line < row->lines; line++) {
        int32_t from = line * LINES, lines = row->width - from < LINES ? row->width - from : LINES, pieces = row->pieces;
        while (pieces && !row->count[(pieces - 1) * row->lines + line]) pieces--;
        for (int32_t o = 0; o < count; o += VAEC_SPARSE) {
            for (int32_t p = 0; p < pieces; p++)
                kernel->sparse(&layer->sums, first + o, row->piece + ((int64_t)p * row->width + from) * row->padded,
                               row->padded, row->pairs + ((int64_t)p * row->lines + line) * row->padded / 2,
                               row->count[p * row->lines + line], lines, row->sums + (int64_t)p * LINES * VAEC_SPARSE);
            for (int32_t j = 0; j < lines; j++) {
                int64_t at = (int64_t)(from + j) * count + o;
                join(layer, row, bits, pieces, j, first + o, features ? VAEC_FEATURE_MAX : X_MAX, total);
                if (features)
                    for (int32_t k = 0; k < VAEC_SPARSE; k++) features[at + k] = (int16_t)total[k];
                else
                    for (int32_t k = 0; k < VAEC_SPARSE; k++) pixels[at + k] = (int32_t)total[k];
            }
        }
    }
}

typedef struct {
    int16_t *y; /* (depth + 1, width, channels): rows that have not gone out */
    int32_t *detail; /* (2, 2 width, outputs of leave) */
    int32_t *base;   /* (width, outputs of shortcut) */
    split_row split;
    vaec_pass pass;
    int32_t depth; /* rows of y that are on their way */
} synthesis_state;

static synthesis_state synthesis_state_of(const vaec_synthesis *net, int64_t height, int32_t width,
                                          vaec_memory *memory) {
    synthesis_state s = {.depth = (net->chain.count + 1) / 2};
    s.y = vaec_take_features(memory, (int64_t)(s.depth + 1) * width * net->channels);
    s.detail = vaec_take_sums(memory, (int64_t)4 * width * net->leave.outputs);
    s.base = vaec_take_sums(memory, (int64_t)width * net->shortcut.sums.outputs);
    split_take(memory, net, width, &s.split);
    s.pass = vaec_pass_of_rows(memory, &net->chain, 2 * height, 2 * width);
    return s;
}

int64_t vaec_synthesis_work(const vaec_synthesis *net, int32_t width) {
    vaec_memory memory = {0};
    synthesis_state_of(net, 0, width, &memory);
    return memory.used;
}

/* A row of a cell: x_hat of 16 pixels and three colours. */
static void pixels_of(const int32_t *base, const int32_t *left, const int32_t *right, int32_t row, int32_t x[3][VAEC_CELL]) {
    for (int32_t c = 0; c < 3; c++) {
        const int32_t *b = base + (c * VAEC_CELL + row) * VAEC_CELL;
        int32_t at = (c * HALF_CELL + row % HALF_CELL) * HALF_CELL;
        for (int32_t k = 0; k < HALF_CELL; k++) {
            x[c][k] = b[k] + left[at + k];
            x[c][k + HALF_CELL] = b[k + HALF_CELL] + right[at + k];
        }
        for (int32_t k = 0; k < VAEC_CELL; k++) x[c][k] = vaec_clamp(vaec_shift(x[c][k], 3), -SAMPLE_MAX, SAMPLE_MAX - 1);
    }
}

static void assemble(const synthesis_state *s, int32_t width, int32_t outputs, int32_t base_outputs,
                     int16_t *const planes[3], int64_t stride) {
    for (int32_t j = 0; j < width; j++)
        for (int32_t row = 0; row < VAEC_CELL; row++) {
            int32_t x[3][VAEC_CELL];
            const int32_t *detail = s->detail + (int64_t)(row / HALF_CELL * 2 * width + 2 * j) * outputs;
            pixels_of(s->base + (int64_t)j * base_outputs, detail, detail + outputs, row, x);
            int64_t at = row * stride + (int64_t)j * VAEC_CELL;
            for (int32_t k = 0; k < VAEC_CELL; k++) {
                planes[0][at + k] = (int16_t)(x[0][k] + 2 * x[1][k] + x[2][k]);
                planes[1][at + k] = (int16_t)(x[0][k] - x[1][k]);
                planes[2][at + k] = (int16_t)(x[2][k] - x[1][k]);
            }
        }
}

/* Row `out` of y, whose features are done, as pixels. */
static void go_out(const vaec_synthesis *net, const vaec_kernel *kernel, const int32_t *step, synthesis_state *s,
                   int64_t out, int16_t *const planes[3], int64_t stride) {
    int32_t width = s->split.width, outputs = net->leave.outputs, channels = net->chain.channels;
    for (int32_t u = 0; u < 2; u++)
        kernel->linear(&net->leave, 0, outputs, vaec_pass_at(&net->chain, &s->pass, 2 * out + u), channels, channels,
                       2 * width, VAEC_ROUND, 0, s->detail + (int64_t)u * 2 * width * outputs, outputs);
    split(net, step, s->y + out % (s->depth + 1) * width * net->channels, &s->split);
    wide(kernel, &net->shortcut, net->bits, &s->split, 0, net->shortcut.sums.outputs, NULL, s->base);
    assemble(s, width, outputs, net->shortcut.sums.outputs, planes, stride);
}

int32_t vaec_synthesis_row(const vaec_synthesis *net, const int32_t *step, const vaec_film *film, int64_t height,
                           int32_t width, int64_t row, const int16_t *y, int16_t *const planes[3], int64_t stride,
                           void *work, int64_t size) {
    vaec_memory memory = {.base = work, .size = size};
    synthesis_state s = synthesis_state_of(net, height, width, &memory);
    const vaec_kernel *kernel = vaec_kernel_of(net->chain.kernel);
    int64_t row_size = (int64_t)width * net->channels;
    int32_t half = net->enter.sums.outputs / 2;
    if (!vaec_rounds_to_even()) return VAEC_BAD_ROUNDING;
    if (memory.used > size || !kernel || row < 0 || row >= height + s.depth || (row < height && !y)) return VAEC_BAD_SIZE;
    if (row < height) {
        memcpy(s.y + row % (s.depth + 1) * row_size, y, (size_t)row_size * sizeof *y);
        split(net, step, y, &s.split);
        for (int32_t u = 0; u < 2; u++)
            wide(kernel, &net->enter, net->bits, &s.split, u * half, half,
                 vaec_pass_at(&net->chain, &s.pass, 2 * row + u), NULL);
    }
    for (int32_t u = 0; u < 2; u++) vaec_pass_row(&net->chain, film, &s.pass, 2 * row + u);
    if (row < s.depth) return VAEC_DONE;
    go_out(net, kernel, step, &s, row - s.depth, planes, stride);
    return 1;
}

int32_t vaec_shortcut(const vaec_synthesis *net, const int32_t *step, int32_t n, const int16_t *y, int32_t *base,
                      void *work, int64_t size) {
    vaec_memory memory = {.base = work, .size = size};
    split_row row = {0};
    const vaec_kernel *kernel = vaec_kernel_of(net->chain.kernel);
    split_take(&memory, net, n, &row);
    if (!vaec_rounds_to_even()) return VAEC_BAD_ROUNDING;
    if (memory.used > size || !kernel) return VAEC_BAD_SIZE;
    split(net, step, y, &row);
    wide(kernel, &net->shortcut, net->bits, &row, 0, net->shortcut.sums.outputs, NULL, base);
    return VAEC_DONE;
}

void vaec_filter(int32_t kernel, const int32_t *coefficients, const int16_t *const planes[3], int64_t stride,
                 int32_t height, int32_t width, uint8_t *rgb, int64_t step) {
    const vaec_kernel *chosen = vaec_kernel_of(kernel);
    for (int32_t i = 0; chosen && i < height; i++) {
        const int16_t *rows[3] = {planes[0] + i * stride, planes[1] + i * stride, planes[2] + i * stride};
        chosen->filter(coefficients, rows, stride, width, rgb + i * step);
    }
}
