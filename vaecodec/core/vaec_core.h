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
#define VAEC_ABI 1

/* In place of a number of words. */
#define VAEC_NO_SUCH_SYMBOL (-1)

/* States of the machine that follows dependent symbols (section 7). */
#define VAEC_STATES 64

/* Probability tables: `width` entries for each of `count` tables, of which each table uses the first ones. */
typedef struct {
    const uint8_t *lookup;     /* (count, 65536): the symbol at each slot */
    const uint32_t *frequency; /* (count, width), of 65536ths; a table's frequencies sum to 65536 */
    const uint32_t *start;     /* (count, width): the first slot of each symbol */
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

/* The filters of PNG's rows. rows: (n, size) bytes in pixels of bpp, 1 to 4, which divides size; filtered: (n, 1 + size),
 * a row behind the number of its filter. above: (size) of the row above the first, zeros at the top of a picture. */

/* rows, written, of filtered. Returns: rows done, fewer than n where the next one has a filter that is not known. */
VAEC_API int64_t vaec_png_unfilter(const uint8_t *filtered, int64_t n, int64_t size, int32_t bpp, const uint8_t *above,
                                   uint8_t *rows);

/* filtered, written, of rows: of each the filter whose bytes, as signed numbers, have the least sum of magnitudes, as
 * section 12.7 of the PNG specification advises. work: (5, size) bytes to work in. */
VAEC_API void vaec_png_filter(const uint8_t *rows, int64_t n, int64_t size, int32_t bpp, const uint8_t *above,
                              uint8_t *work, uint8_t *filtered);

#endif
