/* The kernel for AVX-512 with VNNI. */
#include <immintrin.h>
#include <string.h>

#include "kernel.h"

#define LANES 16
#define POSITIONS 12
#define BLOCKS 2
typedef __m512i ints;
typedef __m512i halves;
typedef __m512 floats;

static inline ints load_i(const int32_t *p) { return _mm512_loadu_si512(p); }
static inline halves load_h(const int16_t *p) { return _mm512_loadu_si512(p); }
static inline floats load_f(const float *p) { return _mm512_loadu_ps(p); }
static inline void store_i(int32_t *p, ints v) { _mm512_storeu_si512(p, v); }
static inline void store_h(int16_t *p, halves v) { _mm512_storeu_si512(p, v); }
static inline halves set_h(int16_t v) { return _mm512_set1_epi16(v); }
static inline halves zero_h(void) { return _mm512_setzero_si512(); }
static inline ints zero_i(void) { return _mm512_setzero_si512(); }
static inline halves min_h(halves a, halves b) { return _mm512_min_epi16(a, b); }
static inline halves max_h(halves a, halves b) { return _mm512_max_epi16(a, b); }
static inline halves add_h(halves a, halves b) { return _mm512_adds_epi16(a, b); }
static inline halves zip_low(halves a, halves b) { return _mm512_unpacklo_epi16(a, b); }
static inline halves zip_high(halves a, halves b) { return _mm512_unpackhi_epi16(a, b); }
static inline ints dot(ints sum, halves a, halves b) { return _mm512_dpwssd_epi32(sum, a, b); }
static inline halves pack_zipped(ints a, ints b) { return _mm512_packs_epi32(a, b); }

static inline halves pack(ints a, ints b) {
    return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), _mm512_packs_epi32(a, b));
}

static inline halves pair(const int16_t *p) {
    int32_t both;
    memcpy(&both, p, sizeof both);
    return _mm512_set1_epi32(both);
}

/* See kernel_avx2.c. */
static inline ints round_i(ints sum, floats scale) {
    floats v = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), scale);
    __mmask16 above = _mm512_cmp_ps_mask(v, _mm512_set1_ps(2147483648.0f), _CMP_GE_OQ);
    return _mm512_mask_mov_epi32(_mm512_cvtps_epi32(v), above, _mm512_set1_epi32(INT32_MAX));
}

#include "kernel_simd.h"

static int usable(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni");
}

const vaec_kernel vaec_avx512 = {"avx512", usable, linear, sparse, depthwise, filter};
