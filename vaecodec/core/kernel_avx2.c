/* The kernel for AVX2. */
#include <immintrin.h>
#include <string.h>

#include "kernel.h"

#define LANES 8
#define POSITIONS 6
#define BLOCKS 1
typedef __m256i ints;
typedef __m256i halves;
typedef __m256 floats;

static inline ints load_i(const int32_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
static inline halves load_h(const int16_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
static inline floats load_f(const float *p) { return _mm256_loadu_ps(p); }
static inline void store_i(int32_t *p, ints v) { _mm256_storeu_si256((__m256i *)p, v); }
static inline void store_h(int16_t *p, halves v) { _mm256_storeu_si256((__m256i *)p, v); }
static inline halves set_h(int16_t v) { return _mm256_set1_epi16(v); }
static inline halves zero_h(void) { return _mm256_setzero_si256(); }
static inline ints zero_i(void) { return _mm256_setzero_si256(); }
static inline halves min_h(halves a, halves b) { return _mm256_min_epi16(a, b); }
static inline halves max_h(halves a, halves b) { return _mm256_max_epi16(a, b); }
static inline halves add_h(halves a, halves b) { return _mm256_adds_epi16(a, b); }
static inline halves zip_low(halves a, halves b) { return _mm256_unpacklo_epi16(a, b); }
static inline halves zip_high(halves a, halves b) { return _mm256_unpackhi_epi16(a, b); }
static inline ints dot(ints sum, halves a, halves b) { return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)); }
static inline halves pack_zipped(ints a, ints b) { return _mm256_packs_epi32(a, b); }
static inline halves pack(ints a, ints b) { return _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xD8); }

static inline halves pair(const int16_t *p) {
    int32_t both;
    memcpy(&both, p, sizeof both);
    return _mm256_set1_epi32(both);
}

/* The conversion gives INT32_MIN for all that is too large: of what is above, the bits are turned over. */
static inline ints round_i(ints sum, floats scale) {
    floats v = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), scale);
    ints above = _mm256_castps_si256(_mm256_cmp_ps(v, _mm256_set1_ps(2147483648.0f), _CMP_GE_OQ));
    return _mm256_xor_si256(_mm256_cvtps_epi32(v), above);
}

#include "kernel_simd.h"

static int usable(void) { return __builtin_cpu_supports("avx2"); }

const vaec_kernel vaec_avx2 = {"avx2", usable, linear, sparse, depthwise, filter};
