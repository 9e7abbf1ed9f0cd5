/* h_s, the context steps, and h_a. */
#include <string.h>

#include "networks.h"

typedef struct {
    int16_t *small, *large; /* maps of twice and four times the positions of z, each way */
    vaec_pass first, then;
} hyper_state;

static hyper_state hyper_state_of(const vaec_hyper *net, int32_t zh, int32_t zw, vaec_memory *memory) {
    hyper_state s = {0};
    int64_t small = (int64_t)4 * zh * zw * net->first.channels, large = (int64_t)16 * zh * zw * net->then.channels;
    s.small = vaec_take_features(memory, small);
    s.large = vaec_take_features(memory, large);
    s.first = (vaec_pass){.rows = s.small, .ring = 2 * zh, .height = 2 * zh, .width = 2 * zw};
    s.then = (vaec_pass){.rows = s.large, .ring = 4 * zh, .height = 4 * zh, .width = 4 * zw};
    vaec_pass_take(memory, &net->first, &s.first);
    vaec_pass_take(memory, &net->then, &s.then);
    return s;
}

int64_t vaec_hyper_work(const vaec_hyper *net, int32_t zh, int32_t zw) {
    vaec_memory memory = {0};
    hyper_state_of(net, zh, zw, &memory);
    return memory.used;
}

static void add_bias(int16_t *f, const int16_t *bias, int64_t n, int32_t channels) {
    for (int64_t i = 0; i < n; i++, f += channels)
        for (int32_t c = 0; c < channels; c++)
            f[c] = (int16_t)vaec_clamp(f[c] + bias[c], -VAEC_FEATURE_MAX, VAEC_FEATURE_MAX);
}

int32_t vaec_hyper_synthesis(const vaec_hyper *net, const int16_t *bias, int32_t zh, int32_t zw, const int16_t *z_hat,
                             int32_t h, int32_t w, int16_t *features, void *work, int64_t size) {
    vaec_memory memory = {.base = work, .size = size};
    hyper_state s = hyper_state_of(net, zh, zw, &memory);
    const vaec_kernel *kernel = vaec_kernel_of(net->first.kernel);
    int32_t d = net->first.channels;
    if (!vaec_rounds_to_even()) return VAEC_BAD_ROUNDING;
    if (memory.used > size || !kernel || h > 4 * zh || w > 4 * zw) return VAEC_BAD_SIZE;
    for (int32_t i = 0; i < zh; i++) {
        int16_t *above = s.small + (int64_t)2 * i * 2 * zw * d;
        vaec_spread(kernel, &net->enter, z_hat + (int64_t)i * zw * net->enter.inputs, zw, VAEC_FEATURE_MAX, above,
                    above + (int64_t)2 * zw * d);
    }
    vaec_pass_all(&net->first, &s.first);
    for (int32_t i = 0; i < 2 * zh; i++) {
        int16_t *above = s.large + (int64_t)2 * i * 4 * zw * d;
        vaec_spread(kernel, &net->up, s.small + (int64_t)i * 2 * zw * d, 2 * zw, VAEC_FEATURE_MAX, above,
                    above + (int64_t)4 * zw * d);
    }
    add_bias(s.large, bias, (int64_t)16 * zh * zw, d);
    vaec_pass_all(&net->then, &s.then);
    for (int32_t i = 0; i < h; i++)
        memcpy(features + (int64_t)i * w * d, s.large + (int64_t)i * 4 * zw * d, (size_t)w * (size_t)d * sizeof *features);
    return VAEC_DONE;
}

typedef struct {
    int16_t *known; /* a row of what is known of y_hat, clamped */
    int32_t *told;  /* a row of means and indices */
    vaec_pass pass;
} context_state;

static context_state context_state_of(const vaec_context *net, int32_t h, int32_t w, int16_t *features,
                                      vaec_memory *memory) {
    context_state s = {0};
    s.known = vaec_take_features(memory, (int64_t)w * net->enter.inputs);
    s.told = vaec_take_sums(memory, (int64_t)w * net->leave.outputs);
    s.pass = (vaec_pass){.rows = features, .ring = h, .height = h, .width = w};
    vaec_pass_take(memory, &net->chain, &s.pass);
    return s;
}

int64_t vaec_context_work(const vaec_context *net, int32_t h, int32_t w) {
    vaec_memory memory = {0};
    context_state_of(net, h, w, NULL, &memory);
    return memory.used;
}

/* What a step knows of y_hat, added to a row of features. */
static void learn(const vaec_kernel *kernel, const vaec_context *net, int32_t w, const int16_t *y_hat,
                  int32_t channels, int16_t *known, int16_t *features) {
    int32_t inputs = net->enter.inputs;
    memset(known, 0, (size_t)w * (size_t)inputs * sizeof *known);
    for (int32_t j = 0; j < w; j++)
        for (int32_t c = 0; c < net->known; c++)
            known[(int64_t)j * inputs + c] =
                (int16_t)vaec_clamp(y_hat[(int64_t)j * channels + c], -VAEC_FEATURE_MAX, VAEC_FEATURE_MAX);
    kernel->linear(&net->enter, 0, net->chain.channels, known, inputs, inputs, w, VAEC_LEARN, VAEC_FEATURE_MAX, features,
                   net->chain.channels);
}

/* A row's tables, from what the network tells, and its means. */
static void choose(const vaec_context *net, int32_t row, int32_t w, const int32_t *told, int16_t *y_hat,
                   int32_t channels, const int32_t *bias, int32_t skip, int32_t dependent, uint8_t *table,
                   int64_t *number) {
    memset(table, VAEC_NOT_CODED, (size_t)w * (size_t)net->count);
    for (int32_t j = 0; j < w; j++, told += net->leave.outputs, table += net->count) {
        int16_t *y = y_hat + (int64_t)j * channels + net->start;
        for (int32_t c = (net->phase + row + j) & 1; c < net->count; c += 2) {
            int32_t mean = vaec_clamp(told[c], -16383, 16383);
            int32_t index = vaec_clamp(vaec_clamp(told[net->padded + c], -(1 << 24), 1 << 24) + bias[c], 0, 1008);
            int32_t t = vaec_shift(index, 4);
            if (t < skip && (mean > 16 || mean < -16)) t = skip;
            y[c] = (int16_t)mean;
            if (t < skip) continue;
            table[c] = (uint8_t)t;
            number[t < dependent]++;
        }
    }
}

int32_t vaec_context_step(const vaec_context *net, int32_t h, int32_t w, int16_t *features, int16_t *y_hat,
                          int32_t channels, const int32_t *bias, int32_t skip, int32_t dependent, uint8_t *table,
                          int64_t *number, void *work, int64_t size) {
    vaec_memory memory = {.base = work, .size = size};
    context_state s = context_state_of(net, h, w, features, &memory);
    const vaec_kernel *kernel = vaec_kernel_of(net->chain.kernel);
    int32_t d = net->chain.channels, count = net->chain.count;
    if (!vaec_rounds_to_even()) return VAEC_BAD_ROUNDING;
    if (memory.used > size || !kernel || net->known > channels || net->start + net->count > channels)
        return VAEC_BAD_SIZE;
    number[0] = number[1] = 0;
    /* Row i is learnt from when it comes, and chosen for when the chain is through with it: y_hat of a row that is still
     * to come has no means yet. */
    for (int64_t i = 0; i < h + count; i++) {
        if (net->known && i < h)
            learn(kernel, net, w, y_hat + i * w * channels, channels, s.known, features + i * w * d);
        vaec_pass_row(&net->chain, NULL, &s.pass, i);
        int64_t out = i - count;
        if (out < 0) continue;
        kernel->linear(&net->leave, 0, net->leave.outputs, features + out * w * d, d, d, w, VAEC_ROUND, 0, s.told,
                       net->leave.outputs);
        choose(net, (int32_t)out, w, s.told, y_hat + out * w * channels, channels, bias, skip, dependent,
               table + out * w * net->count, number);
    }
    return VAEC_DONE;
}

typedef struct {
    int16_t *wide, *narrow, *gathered;
    int32_t *sums;
    vaec_pass first, then;
} analysis_state;

static analysis_state analysis_state_of(const vaec_hyper_analysis *net, int32_t h, int32_t w, vaec_memory *memory) {
    analysis_state s = {0};
    int64_t d = net->first.channels, positions = (int64_t)h * w;
    s.wide = vaec_take_features(memory, positions * d);
    s.narrow = vaec_take_features(memory, positions / 4 * d);
    s.gathered = vaec_take_features(memory, (int64_t)w / 2 * 4 * d);
    s.sums = vaec_take_sums(memory, (int64_t)w / 4 * net->leave.outputs);
    s.first = (vaec_pass){.rows = s.wide, .ring = h, .height = h, .width = w};
    s.then = (vaec_pass){.rows = s.narrow, .ring = h / 2, .height = h / 2, .width = w / 2};
    vaec_pass_take(memory, &net->first, &s.first);
    vaec_pass_take(memory, &net->then, &s.then);
    return s;
}

int64_t vaec_hyper_analysis_work(const vaec_hyper_analysis *net, int32_t h, int32_t w) {
    vaec_memory memory = {0};
    analysis_state_of(net, h, w, &memory);
    return memory.used;
}

int32_t vaec_hyper_analyse(const vaec_hyper_analysis *net, int32_t h, int32_t w, const int16_t *y, float *z,
                           void *work, int64_t size) {
    vaec_memory memory = {.base = work, .size = size};
    analysis_state s = analysis_state_of(net, h, w, &memory);
    const vaec_kernel *kernel = vaec_kernel_of(net->first.kernel);
    int32_t d = net->first.channels, outputs = net->leave.outputs;
    if (!vaec_rounds_to_even()) return VAEC_BAD_ROUNDING;
    if (memory.used > size || !kernel || h % 4 || w % 4) return VAEC_BAD_SIZE;
    kernel->linear(&net->enter, 0, d, y, net->enter.inputs, net->enter.inputs, (int64_t)h * w, VAEC_SET,
                   net->first.limit, s.wide, d);
    vaec_pass_all(&net->first, &s.first);
    for (int32_t i = 0; i < h / 2; i++) {
        const int16_t *above = s.wide + (int64_t)2 * i * w * d;
        vaec_gather(above, above + (int64_t)w * d, w / 2, d, s.gathered);
        kernel->linear(&net->down, 0, d, s.gathered, 4 * d, 4 * d, w / 2, VAEC_SET, net->then.limit,
                       s.narrow + (int64_t)i * w / 2 * d, d);
    }
    vaec_pass_all(&net->then, &s.then);
    for (int32_t i = 0; i < h / 4; i++) {
        const int16_t *above = s.narrow + (int64_t)2 * i * w / 2 * d;
        vaec_gather(above, above + (int64_t)w / 2 * d, w / 4, d, s.gathered);
        kernel->linear(&net->leave, 0, outputs, s.gathered, 4 * d, 4 * d, w / 4, VAEC_SUM, 0, s.sums, outputs);
        for (int32_t k = 0; k < w / 4 * outputs; k++)
            z[(int64_t)i * (w / 4) * outputs + k] = (float)s.sums[k] * net->leave.scale[k % outputs];
    }
    return VAEC_DONE;
}
