/* As string.h. */
#ifndef VAEC_MATH_H
#define VAEC_MATH_H
#define INFINITY __builtin_inff()
static inline float fabsf(float v) { return __builtin_fabsf(v); }
static inline float nearbyintf(float v) { return __builtin_nearbyintf(v); }
static inline float rintf(float v) { return __builtin_rintf(v); }
/* v * 2^exponent, as long as that is a normal float. */
static inline float ldexpf(float v, int exponent) {
    union {
        int bits;
        float value;
    } scale = {.bits = (127 + exponent) << 23};
    return v * scale.value;
}
#endif
