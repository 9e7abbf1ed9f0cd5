#include "networks.h"

#include <math.h>
#include <string.h>

static const vaec_kernel *const kernels[VAEC_KERNELS] = {
    &vaec_plain,
#ifdef VAEC_HAS_WASM
    &vaec_wasm,
#else
    NULL,
#endif
#ifdef VAEC_HAS_NEON
    &vaec_neon,
#else
    NULL,
#endif
#ifdef VAEC_HAS_X86
    &vaec_avx2, &vaec_avx512,
#endif
};

const vaec_kernel *vaec_kernel_of(int32_t number) {
    const vaec_kernel *kernel = number >= 0 && number < VAEC_KERNELS ? kernels[number] : NULL;
    return kernel && kernel->usable() ? kernel : NULL;
}

int vaec_rounds_to_even(void) {
    volatile float half = 0.5f, three_halves = 1.5f; /* or a compiler would know */
    return nearbyintf(half) == 0 && nearbyintf(three_halves) == 2 && nearbyintf(-half) == 0;
}

const char *vaec_kernel_name(int32_t number) {
    const vaec_kernel *kernel = vaec_kernel_of(number);
    return kernel ? kernel->name : NULL;
}

void *vaec_take(vaec_memory *memory, int64_t bytes) {
    void *part = memory->base ? memory->base + memory->used : NULL;
    memory->used += (bytes + 63) / 64 * 64;
    return part;
}

void vaec_pass_take(vaec_memory *memory, const vaec_chain *chain, vaec_pass *pass) {
    int32_t hidden = 0, active = 0;
    for (int32_t b = 0; b < chain->count; b++) {
        const vaec_block *block = &chain->block[b];
        hidden = block->middle.channels > hidden ? block->middle.channels : hidden;
        active = block->last.inputs > active ? block->last.inputs : active;
    }
    pass->hidden = vaec_take_features(memory, (int64_t)chain->count * 3 * pass->width * hidden);
    pass->active = vaec_take_features(memory, (int64_t)pass->width * active);
}

vaec_pass vaec_pass_of_rows(vaec_memory *memory, const vaec_chain *chain, int64_t height, int32_t width) {
    vaec_pass pass = {.ring = chain->count + 4, .height = height, .width = width};
    pass.rows = vaec_take_features(memory, pass.ring * width * chain->channels);
    vaec_pass_take(memory, chain, &pass);
    return pass;
}

/* Features times one row, plus another. */
static void scaled(const vaec_film *film, int16_t *f, int32_t width, int32_t channels, int32_t limit) {
    for (int32_t j = 0; j < width; j++, f += channels)
        for (int32_t c = 0; c < channels; c++) {
            int32_t v = f[c] * film->scale[c] + film->bias[c] * (1 << film->shift);
            f[c] = (int16_t)vaec_clamp(vaec_shift(v, film->shift), -limit, limit);
        }
}

/* A block's row r has come; its row r - 1 is done. hidden: (3, width, channels). */
static void block_row(const vaec_kernel *kernel, const vaec_chain *chain, const vaec_block *block,
                      const vaec_pass *pass, int16_t *hidden, int64_t r) {
    int32_t width = pass->width, channels = block->middle.channels;
    int64_t size = (int64_t)width * channels;
    if (r < pass->height)
        kernel->linear(&block->first, 0, channels, vaec_pass_at(chain, pass, r), chain->channels, chain->channels,
                       width, VAEC_SET, chain->limit, hidden + r % 3 * size, channels);
    if (r < 1 || r > pass->height) return;
    const int16_t *rows[3] = {r > 1 ? hidden + (r - 2) % 3 * size : NULL, hidden + (r - 1) % 3 * size,
                              r < pass->height ? hidden + r % 3 * size : NULL};
    kernel->depthwise(&block->middle, rows, width, block->gated, chain->limit, chain->shift, pass->active);
    kernel->linear(&block->last, 0, chain->channels, pass->active, block->last.inputs, block->last.inputs, width,
                   VAEC_ADD, chain->limit, vaec_pass_at(chain, pass, r - 1), chain->channels);
}

void vaec_pass_row(const vaec_chain *chain, const vaec_film *film, vaec_pass *pass, int64_t i) {
    const vaec_kernel *kernel = vaec_kernel_of(chain->kernel);
    int16_t *hidden = pass->hidden;
    for (int32_t b = 0; b < chain->count && b <= i; b++) {
        int64_t r = i - b;
        if (b == chain->film && r < pass->height)
            scaled(film, vaec_pass_at(chain, pass, r), pass->width, chain->channels, chain->limit);
        block_row(kernel, chain, &chain->block[b], pass, hidden, r);
        hidden += (int64_t)3 * pass->width * chain->block[b].middle.channels;
    }
}

void vaec_pass_all(const vaec_chain *chain, vaec_pass *pass) {
    for (int64_t i = 0; i < pass->height + chain->count; i++) vaec_pass_row(chain, NULL, pass, i);
}

void vaec_spread(const vaec_kernel *kernel, const vaec_linear *layer, const int16_t *x, int32_t width, int32_t limit,
                 int16_t *above, int16_t *below) {
    int32_t half = layer->outputs / 2;
    kernel->linear(layer, 0, half, x, layer->inputs, layer->inputs, width, VAEC_SET, limit, above, half);
    kernel->linear(layer, half, half, x, layer->inputs, layer->inputs, width, VAEC_SET, limit, below, half);
}

void vaec_gather(const int16_t *above, const int16_t *below, int32_t width, int32_t channels, int16_t *out) {
    size_t half = 2 * (size_t)channels;
    for (int32_t j = 0; j < width; j++) {
        memcpy(out + (size_t)j * 2 * half, above + (size_t)j * half, half * sizeof *out);
        memcpy(out + (size_t)j * 2 * half + half, below + (size_t)j * half, half * sizeof *out);
    }
}
