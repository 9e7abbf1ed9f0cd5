/* What a kernel does: the inner loops of the networks, once for each set of instructions. kernel_plain.c defines them;
 * the others make the same numbers faster. Layouts are those of vaec_core.h. */
#ifndef VAEC_KERNEL_H
#define VAEC_KERNEL_H

#include "vaec_core.h"

#define BLOCK 16 /* outputs that stand together in a packed weight */
#define VAEC_SPARSE (2 * BLOCK)

/* What becomes of a layer's sums. */
enum vaec_result {
    VAEC_SET,   /* int16: rounded, clamped to the limit */
    VAEC_ADD,   /* int16: rounded, added to what is there, clamped to the limit */
    VAEC_LEARN, /* the same, but clamped to the limit before it is added, too */
    VAEC_ROUND, /* int32: rounded */
    VAEC_SUM    /* int32: as they are, the bias included, in units of the scale */
};

typedef struct {
    const char *name;
    int (*usable)(void);

    /* A layer's outputs first..first + outputs of n positions. x: (n, stride), of which `inputs` count. out: (n, step)
     * int16 or int32, from the first of those outputs on. */
    void (*linear)(const vaec_linear *layer, int32_t first, int32_t outputs, const int16_t *x, int64_t stride,
                   int32_t inputs, int64_t n, enum vaec_result result, int32_t limit, void *out, int64_t step);

    /* VAEC_SPARSE outputs of a layer from `first` on, of n positions: sums over some pairs of inputs, the others being 0
     * in all of them. pairs: (count) their numbers, ascending. out: (n, VAEC_SPARSE), the bias included. */
    void (*sparse)(const vaec_linear *layer, int32_t first, const int16_t *x, int64_t stride, const int32_t *pairs,
                   int32_t count, int64_t n, int32_t *out);

    /* A row of a depthwise layer and the activation behind it. rows: the one above, the row, the one below, (width,
     * channels) each or NULL outside. limit, shift: of the chain. out: (width, channels), or half of that behind a
     * gate. */
    void (*depthwise)(const vaec_depthwise *layer, const int16_t *const rows[3], int32_t width, int32_t gated,
                      int32_t limit, int32_t shift, int16_t *out);

    /* A row of pixels (width, 3) through a loop filter. planes: three pointers to the row's samples, `stride` numbers
     * a row, with what lies within reach. */
    void (*filter)(const int32_t *coefficients, const int16_t *const planes[3], int64_t stride, int32_t width,
                   uint8_t *rgb);
} vaec_kernel;

extern const vaec_kernel vaec_plain, vaec_avx2, vaec_avx512, vaec_neon, vaec_wasm;

const vaec_kernel *vaec_kernel_of(int32_t number);

/* Whether this thread rounds half to even. */
int vaec_rounds_to_even(void);

static inline int32_t vaec_clamp(int32_t v, int32_t low, int32_t high) { return v < low ? low : v > high ? high : v; }

/* v / 2^k, half to even. */
static inline int32_t vaec_shift(int32_t v, int32_t k) { return (v + (1 << (k - 1)) - 1 + ((v >> k) & 1)) >> k; }

#endif
