/* The kernel for WebAssembly with 128-bit vectors. */
#include <wasm_simd128.h>

#include "kernel.h"

#define LANES 4
#define POSITIONS 2 /* eight sums and four weights: x86 has 16 registers of this size */
#define BLOCKS 1
typedef v128_t ints;
typedef v128_t halves;
typedef v128_t floats;

static inline ints load_i(const int32_t *p) { return wasm_v128_load(p); }
static inline halves load_h(const int16_t *p) { return wasm_v128_load(p); }
static inline floats load_f(const float *p) { return wasm_v128_load(p); }
static inline void store_i(int32_t *p, ints v) { wasm_v128_store(p, v); }
static inline void store_h(int16_t *p, halves v) { wasm_v128_store(p, v); }
static inline halves pair(const int16_t *p) { return wasm_v128_load32_splat(p); }
static inline halves set_h(int16_t v) { return wasm_i16x8_splat(v); }
static inline halves zero_h(void) { return wasm_i32x4_const_splat(0); }
static inline ints zero_i(void) { return wasm_i32x4_const_splat(0); }
static inline halves min_h(halves a, halves b) { return wasm_i16x8_min(a, b); }
static inline halves max_h(halves a, halves b) { return wasm_i16x8_max(a, b); }
static inline halves add_h(halves a, halves b) { return wasm_i16x8_add_sat(a, b); }
static inline halves zip_low(halves a, halves b) { return wasm_i16x8_shuffle(a, b, 0, 8, 1, 9, 2, 10, 3, 11); }
static inline halves zip_high(halves a, halves b) { return wasm_i16x8_shuffle(a, b, 4, 12, 5, 13, 6, 14, 7, 15); }
static inline ints dot(ints sum, halves a, halves b) { return wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(a, b)); }
static inline halves pack(ints a, ints b) { return wasm_i16x8_narrow_i32x4(a, b); }
static inline halves pack_zipped(ints a, ints b) { return pack(a, b); }

static inline ints round_i(ints sum, floats scale) {
    return wasm_i32x4_trunc_sat_f32x4(wasm_f32x4_nearest(wasm_f32x4_mul(wasm_f32x4_convert_i32x4(sum), scale)));
}

#include "kernel_simd.h"

static int usable(void) { return 1; }

const vaec_kernel vaec_wasm = {"wasm", usable, linear, sparse, depthwise, filter};
