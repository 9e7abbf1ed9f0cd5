/* The kernel for NEON, on 64-bit ARM. */
#include <arm_neon.h>
#include <string.h>

#include "kernel.h"

#define LANES 4
#define POSITIONS 4
#define BLOCKS 1
typedef int32x4_t ints;
typedef int16x8_t halves;
typedef float32x4_t floats;

static inline ints load_i(const int32_t *p) { return vld1q_s32(p); }
static inline halves load_h(const int16_t *p) { return vld1q_s16(p); }
static inline floats load_f(const float *p) { return vld1q_f32(p); }
static inline void store_i(int32_t *p, ints v) { vst1q_s32(p, v); }
static inline void store_h(int16_t *p, halves v) { vst1q_s16(p, v); }
static inline halves set_h(int16_t v) { return vdupq_n_s16(v); }
static inline halves zero_h(void) { return vdupq_n_s16(0); }
static inline ints zero_i(void) { return vdupq_n_s32(0); }
static inline halves min_h(halves a, halves b) { return vminq_s16(a, b); }
static inline halves max_h(halves a, halves b) { return vmaxq_s16(a, b); }
static inline halves add_h(halves a, halves b) { return vqaddq_s16(a, b); }
static inline halves zip_low(halves a, halves b) { return vzip1q_s16(a, b); }
static inline halves zip_high(halves a, halves b) { return vzip2q_s16(a, b); }
static inline halves pack(ints a, ints b) { return vqmovn_high_s32(vqmovn_s32(a), b); }
static inline halves pack_zipped(ints a, ints b) { return pack(a, b); }

/* Even and odd numbers apart: what is the same for several sums, the compiler makes once. */
static inline ints dot(ints sum, halves a, halves b) {
    sum = vmlal_s16(sum, vget_low_s16(vuzp1q_s16(a, a)), vget_low_s16(vuzp1q_s16(b, b)));
    return vmlal_s16(sum, vget_low_s16(vuzp2q_s16(a, a)), vget_low_s16(vuzp2q_s16(b, b)));
}

static inline halves pair(const int16_t *p) {
    int32_t both;
    memcpy(&both, p, sizeof both);
    return vreinterpretq_s16_s32(vdupq_n_s32(both));
}

static inline ints round_i(ints sum, floats scale) { return vcvtnq_s32_f32(vmulq_f32(vcvtq_f32_s32(sum), scale)); }

#include "kernel_simd.h"

static int usable(void) { return 1; }

const vaec_kernel vaec_neon = {"neon", usable, linear, sparse, depthwise, filter};
