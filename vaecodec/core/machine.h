/* The machine that follows dependent symbols: a systematic feedback encoder of a convolutional code with parity checks
 * 103 and 024 (octal), the best of 64 states for amplitude modulation (Ungerboeck 1982, "Channel coding with
 * multilevel/phase signals", table I). */
#ifndef VAEC_MACHINE_H
#define VAEC_MACHINE_H

/* The next state, by the parity of a symbol. */
static inline int vaec_next(int state, int parity) {
    return (state >> 1) ^ ((0103 >> 1) * (state & 1)) ^ ((024 >> 1) * parity);
}

/* The quantiser that a symbol meets. */
static inline int vaec_quantiser(int state) { return state & 1; }

#endif
