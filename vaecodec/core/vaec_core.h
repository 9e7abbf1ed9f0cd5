/* The native core of vaecodec: what is too slow in Python, exact on every machine.
 *
 * A flat interface. The caller allocates all memory and checks all sizes; nothing here allocates, prints, keeps a
 * state between calls or starts a thread, so that any number of threads may call. Numbers are in the machine's own
 * byte order. The text of the format is bitstream_spec.md; section numbers below are its.
 */
#ifndef VAEC_CORE_H
#define VAEC_CORE_H

#include <stdint.h>

#ifdef _WIN32
#define VAEC_API __declspec(dllexport)
#else
#define VAEC_API __attribute__((visibility("default")))
#endif

/* Raised with every change of a function's arguments: a library left over from another version is not used. */
#define VAEC_ABI 4

/* In place of a number of words. */
#define VAEC_NO_SUCH_SYMBOL (-1)
/* What functions return that work in memory which the caller provides: done; a size that does not fit; or the thread
 * rounds floats other than half to even, and the caller has to set that back (fesetround). */
#define VAEC_DONE 0
#define VAEC_BAD_SIZE (-2)
#define VAEC_BAD_ROUNDING (-6)

/* States of the machine that follows dependent symbols (section 7). */
#define VAEC_STATES 64

#define VAEC_LOOKUP 4096

/* Probability tables: `width` entries for each of `count` tables, of which each table uses the first ones. */
typedef struct {
    const uint8_t *lookup;   /* (count, VAEC_LOOKUP): the symbol at every sixteenth slot; others are not far behind it */
    const uint32_t *symbols; /* (count, width): of each its frequency, of 65536ths, times 65536, plus its first slot; a
                              * table's frequencies sum to 65536 */
    int32_t count;
    int32_t width;
} vaec_tables;

VAEC_API int32_t vaec_abi(void);

/* Decode one run of one tile: symbol i comes from lane i % used, in round i / used; after each round the lanes below
 * 2^16 take a word each, in lane order.
 *
 * x: (used) states of the lanes that take part. n: symbols. table: (n), below tables->count, for quantiser 0.
 * machines: how many machines the symbols are dealt to in turn, `used` to 128; 0: a run that is not dependent. In a
 * dependent run a symbol of quantiser 1 comes from the table 64 further on, which must be there.
 * words: (count) of the tile from here on. symbol, quantiser: (n), written.
 *
 * Returns: symbols read. taken: words read; count + 1 where they have run out, in the round of the last symbol read.
 */
VAEC_API int64_t vaec_rans_decode(uint32_t *x, int32_t used, int64_t n, const uint16_t *table, int32_t machines,
                                  const vaec_tables *tables, const uint16_t *words, int64_t count, uint8_t *symbol,
                                  uint8_t *quantiser, int64_t *taken);

/* Code one run of one tile, from its last symbol to its first.
 *
 * x, used, n, tables: as above. table, symbol: (n), a symbol's table being that of its quantiser. words: (n), written
 * from the end on.
 *
 * Returns: words written; the run's words are the last of `words`, in the order in which they are read.
 * VAEC_NO_SUCH_SYMBOL where a symbol has no frequency.
 */
VAEC_API int64_t vaec_rans_encode(uint32_t *x, int32_t used, int64_t n, const uint16_t *table, const uint8_t *symbol,
                                  const vaec_tables *tables, uint16_t *words);

/* The cheapest way through the states of `chains` machines (Viterbi): which kind, 2 * quantiser + parity, each symbol
 * is of.
 *
 * cost: (rounds, 4, chains) of each kind. odd: (rounds, 64, 32) bytes to work in. kind: (rounds, chains), written.
 */
VAEC_API void vaec_best_path(const float *cost, int64_t rounds, int64_t chains, uint8_t *odd, int32_t *kind);

/* ---- Networks (sections 6, 8 and 9): integers all through ----
 *
 * Features are int16, those of decoders within +-2047, rows of positions of channels. All numbers of channels here are
 * multiples of 32: the caller fills up with zeros, in weights too, and the features behind them stay 0.
 */
#define VAEC_FEATURE_MAX 2047
#define VAEC_CHANNELS_MAX 8192
#define VAEC_CELL 16 /* pixels in a position of y, each way */

/* Kernels have numbers, the plain one 0; the best ones of a processor come last. Returns: its name; NULL where this
 * build or this processor does not have it, or there is none of that number. */
#define VAEC_KERNELS 5
VAEC_API const char *vaec_kernel_name(int32_t number);

/* An exact layer: output o is (sum of weight * input + bias) * scale, scale being 2^-k. Sums are below 2^31, those of
 * a decoder below 2^24, whatever the inputs: who makes the layer has to prove it.
 * weight: (outputs / 16, inputs / 2, 16, 2), the last for the two inputs of a pair. */
typedef struct {
    const int16_t *weight;
    const int32_t *bias;
    const float *scale;
    int32_t inputs, outputs;
} vaec_linear;

/* A depthwise 3x3 layer, zeros outside. Channels stand in groups of 32, and in each in the order (half, 4, 4) of
 * channel 8 i + 4 half + j. weight: (channels / 32, 5, 2, 4, 4, 2): taps in pairs, raster order, a tenth that is 0.
 * bias, scale: (channels / 32, 2, 4, 4). */
typedef struct {
    const int16_t *weight;
    const int32_t *bias;
    const float *scale;
    int32_t channels;
} vaec_depthwise;

/* x + last(activation(middle(first(x)))). gated: the activation is the first half times the clamped second half;
 * else what is below 0 becomes 0. */
typedef struct {
    vaec_linear first;
    vaec_depthwise middle;
    vaec_linear last;
    int32_t gated;
} vaec_block;

/* Blocks one after the other, on features within +-limit, 2^shift standing for 1: 2047 and 7 in decoders. A gate is
 * clamped to +-2. film: before which block features are scaled by quality; -1: none. */
typedef struct {
    const vaec_block *block;
    int32_t count, channels, film, kernel, limit, shift;
} vaec_chain;

/* features = (features * scale + bias * 2^shift) / 2^shift, a row of each for a quality. (channels) */
typedef struct {
    const int32_t *scale;
    const int32_t *bias;
    int32_t shift;
} vaec_film;

/* h_s. enter: z to 4 D; first: a block at 1/32; up: D to 4 D; then: blocks at 1/16. */
typedef struct {
    vaec_linear enter, up;
    vaec_chain first, then;
} vaec_hyper;

/* Bytes of memory that vaec_hyper_synthesis works in. */
VAEC_API int64_t vaec_hyper_work(const vaec_hyper *net, int32_t zh, int32_t zw);

/* z_hat to features. bias: (D) of the quality. z_hat: (zh, zw, inputs of enter), 16 times each number.
 * features: (h, w, D), written; h at most 4 zh, w at most 4 zw. */
VAEC_API int32_t vaec_hyper_synthesis(const vaec_hyper *net, const int16_t *bias, int32_t zh, int32_t zw,
                                      const int16_t *z_hat, int32_t h, int32_t w, int16_t *features, void *work,
                                      int64_t size);

/* A context step. known: channels of y_hat that it looks at, 0 for none. start, count: the channels that it codes.
 * enter: those known to D; leave: D to 2 * padded, means from 0 on, indices from `padded` on. */
typedef struct {
    vaec_linear enter, leave;
    vaec_chain chain;
    int32_t known, start, count, padded, phase;
} vaec_context;

/* In a map of tables: the element is not coded in this step. */
#define VAEC_NOT_CODED 255

VAEC_API int64_t vaec_context_work(const vaec_context *net, int32_t h, int32_t w);

/* What is to be coded. features: (h, w, D), changed. y_hat: (h, w, channels) in 1/16 step, 0 where nothing is decoded
 * yet; gets the means of this step's elements. bias: (count) of the indices. skip, dependent: see section 8.
 * table: (h, w, count), written: the table of each element of this step that is coded, else VAEC_NOT_CODED.
 * number: (2), written: how many tables are at least `dependent`, and how many are below. */
VAEC_API int32_t vaec_context_step(const vaec_context *net, int32_t h, int32_t w, int16_t *features, int16_t *y_hat,
                                   int32_t channels, const int32_t *bias, int32_t skip, int32_t dependent,
                                   uint8_t *table, int64_t *number, void *work, int64_t size);

/* A layer whose inputs have up to 24 bits, in 1/512 of their unit. sums: without a bias; bias: (outputs). */
typedef struct {
    vaec_linear sums;
    const int32_t *bias;
} vaec_wide;

/* g_s. shortcut and leave have outputs in the order (colour, row, column) of their cells of 16 and of 8 pixels a side.
 * channels: of y. bits, pieces: inputs of wide layers come in so many signed pieces of so many bits, at least 25 in all,
 * so that (sum of |weight|) * 2^(bits - 1) is below 2^31. */
typedef struct {
    vaec_wide enter, shortcut;
    vaec_linear leave;
    vaec_chain chain;
    int32_t channels, bits, pieces;
} vaec_synthesis;

VAEC_API int64_t vaec_synthesis_work(const vaec_synthesis *net, int32_t width);

/* One row of y comes in, one that is `(count + 1) / 2` above goes out, count being the chain's.
 *
 * height, width: of y. row: its number, each after the one before, from 0 to height + (count + 1) / 2 - 1.
 * y: (width, channels) in 1/16 step; NULL from row `height` on. step: (channels) of the quality.
 * work: the same memory for all rows, of vaec_synthesis_work bytes.
 * planes: three pointers to the first of 16 rows of pixels, `stride` numbers a row: R + 2 G + B, R - G, B - G in 1/8
 * level, written where a row goes out.
 * Returns: 1 where one went out, else VAEC_DONE; VAEC_BAD_SIZE. */
VAEC_API int32_t vaec_synthesis_row(const vaec_synthesis *net, const int32_t *step, const vaec_film *film,
                                    int64_t height, int32_t width, int64_t row, const int16_t *y,
                                    int16_t *const planes[3], int64_t stride, void *work, int64_t size);

/* What the linear branch alone makes of n positions y (n, channels): (n, outputs of shortcut) int32 in 1/64 level. */
VAEC_API int32_t vaec_shortcut(const vaec_synthesis *net, const int32_t *step, int32_t n, const int16_t *y,
                               int32_t *base, void *work, int64_t size);

/* Pixels of some rows (height, width, 3) by one filter, 36 coefficients. planes: three pointers to the first sample,
 * `stride` numbers a row, 3 samples around what is wanted. rgb: `step` bytes a row. */
VAEC_API void vaec_filter(int32_t kernel, const int32_t *coefficients, const int16_t *const planes[3], int64_t stride,
                          int32_t height, int32_t width, uint8_t *rgb, int64_t step);

/* Adds the products of all pairs of rows (count, n) of numbers within +-2047 to sums (count, count). */
VAEC_API void vaec_gram(const int16_t *rows, int32_t count, int64_t n, int64_t *sums);

/* g_a, in integers too. enter: 192 inputs, (row, column, colour) of 8 x 8 pixels less 128; leave: four positions to y;
 * shortcut: 768 inputs, of 16 x 16 pixels. */
typedef struct {
    vaec_linear enter, leave, shortcut;
    vaec_chain chain;
} vaec_analysis;

VAEC_API int64_t vaec_analysis_work(const vaec_analysis *net, int32_t width);

/* One row of positions of pixels comes in, one of y goes out, `(count + 1) / 2` above; as vaec_synthesis_row.
 * pixels: (16, 16 width, 3). part: (outputs of leave) what y is multiplied by: 1 over the quantiser's step.
 * y: (width, outputs of leave) in steps, written where a row goes out. */
VAEC_API int32_t vaec_analysis_row(const vaec_analysis *net, const vaec_film *film, const float *part, float bound,
                                   int64_t height, int32_t width, int64_t row, const uint8_t *pixels, float *y,
                                   void *work, int64_t size);

/* h_a. enter: y in 1/16 step to D; then: a block; down: 4 D to D; blocks; leave: 4 D to z, in units of its scale. */
typedef struct {
    vaec_linear enter, down, leave;
    vaec_chain first, then;
} vaec_hyper_analysis;

VAEC_API int64_t vaec_hyper_analysis_work(const vaec_hyper_analysis *net, int32_t h, int32_t w);

/* y (h, w, inputs of enter) in 1/16 step, h and w multiples of 4, to z (h / 4, w / 4, outputs of leave). */
VAEC_API int32_t vaec_hyper_analyse(const vaec_hyper_analysis *net, int32_t h, int32_t w, const int16_t *y, float *z,
                                    void *work, int64_t size);

/* ---- Symbols of a tile (sections 7 and 8) ---- */

/* Where a step's coded elements are: of those with a table of at least `dependent`, then of the others, in raster
 * order. map: (n) as vaec_context_step wrote it, rows of `count`; place: (number[0] + number[1]) of each in rows of
 * `channels`, from channel `start` on; table: as many. Returns: VAEC_DONE, or VAEC_BAD_SIZE where there are others. */
VAEC_API int32_t vaec_places(const uint8_t *map, int64_t n, int32_t count, int32_t channels, int32_t start,
                             int32_t dependent, const int64_t *number, int32_t *place, uint16_t *table);

/* Values of symbols. table, quantiser, symbol: (n), a table being that of quantiser 0; low, last: of each table its
 * first value and its escape. escape: (escapes) values that stand in their place. value: (n), written.
 * Returns: escapes used, or -1 - i where symbol i has none left. */
VAEC_API int64_t vaec_values(int64_t n, const uint16_t *table, const uint8_t *quantiser, const uint8_t *symbol,
                             const int32_t *low, const int32_t *last, const int32_t *escape, int64_t escapes,
                             int32_t *value);

/* Adds what n values are worth to the means in y_hat. quantiser: (n); NULL for values that are not dependent. */
VAEC_API void vaec_add(int16_t *y_hat, const int32_t *place, const int32_t *value, const uint8_t *quantiser, int64_t n);

/* Numbers of a section of escapes. value: (size) at most. Returns: how many; VAEC_CUT_OFF, VAEC_LONG or
 * VAEC_TOO_LARGE where it is none. */
#define VAEC_CUT_OFF (-3)
#define VAEC_LONG (-4)
#define VAEC_TOO_LARGE (-5)
VAEC_API int64_t vaec_escapes(const uint8_t *data, int64_t size, int32_t limit, int32_t *value);

/* What the best symbol of each kind costs, in bits, and its value: see candidates() in vaecodec/entropy/trellis.py.
 * d: (n) residuals in steps. lambda: (n). bits: (tables, width) of each symbol. cost: (rounds, 4, chains), the symbols
 * dealt in turn; value: (4, n). */
VAEC_API void vaec_candidates(const float *d, const uint16_t *table, const float *lambda, int64_t n,
                              const vaec_tables *tables, const int32_t *low, const int32_t *size, const float *bits,
                              int32_t chains, float *cost, int32_t *value);

/* The sum of log(1 + worth * c^2) over the coefficients c of each block, its means less those of the block to the left,
 * or above it in the first column. rgb: (16 h, 16 w, 3). basis: (16, 16), colours: (3, 3) orthonormal, rows for
 * coefficients. costs: (h, w), written. */
VAEC_API void vaec_block_costs(const uint8_t *rgb, int64_t h, int64_t w, const float *basis, const float *colours,
                               float worth, float *costs);

/* ---- Rows of PNG files ----
 *
 * rows: (n, size) bytes in pixels of bpp, 1 to 4, which divides size; filtered: (n, 1 + size), a row behind the number
 * of its filter. above: (size) of the row above the first, zeros at the top of a picture. */

/* rows, written, of filtered. Returns: rows done, fewer than n where the next one has a filter that is not known. */
VAEC_API int64_t vaec_png_unfilter(const uint8_t *filtered, int64_t n, int64_t size, int32_t bpp, const uint8_t *above,
                                   uint8_t *rows);

/* filtered, written, of rows: of each the filter whose bytes, as signed numbers, have the least sum of magnitudes, as
 * section 12.7 of the PNG specification advises. work: (5, size) bytes to work in. */
VAEC_API void vaec_png_filter(const uint8_t *rows, int64_t n, int64_t size, int32_t bpp, const uint8_t *above,
                              uint8_t *work, uint8_t *filtered);

#endif
