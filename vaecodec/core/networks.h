/* What the networks share: chains of blocks that work on rows as they come, and memory dealt out of the caller's. */
#ifndef VAEC_NETWORKS_H
#define VAEC_NETWORKS_H

#include <stddef.h>

#include "kernel.h"

/* Parts of one piece of memory, each on a border of 64 bytes. Without memory it counts what would be needed. */
typedef struct {
    char *base;
    int64_t used, size;
} vaec_memory;

void *vaec_take(vaec_memory *memory, int64_t bytes);

static inline int16_t *vaec_take_features(vaec_memory *memory, int64_t n) { return vaec_take(memory, 2 * n); }
static inline int32_t *vaec_take_sums(vaec_memory *memory, int64_t n) { return vaec_take(memory, 4 * n); }

/* What is kept of the rows of a map while blocks pass over it in place. */
typedef struct {
    int16_t *rows;   /* (ring, width, channels): row i is at i % ring */
    int16_t *hidden; /* (count, 3, width, hidden channels) */
    int16_t *active; /* (width, channels behind the activation) */
    int64_t ring, height;
    int32_t width;
} vaec_pass;

/* Takes memory for all but the rows. */
void vaec_pass_take(vaec_memory *memory, const vaec_chain *chain, vaec_pass *pass);

/* A pass over a map of which only so many rows are held as are on their way: two come in and two go out at a time. */
vaec_pass vaec_pass_of_rows(vaec_memory *memory, const vaec_chain *chain, int64_t height, int32_t width);

/* Row i of the map has come, row i - count is done: the blocks are a row apart, each in the place of its input. From
 * row `height` on nothing comes, and the last ones are done. */
void vaec_pass_row(const vaec_chain *chain, const vaec_film *film, vaec_pass *pass, int64_t i);

static inline int16_t *vaec_pass_at(const vaec_chain *chain, const vaec_pass *pass, int64_t i) {
    return pass->rows + i % pass->ring * pass->width * chain->channels;
}

/* All rows of a map that is there as a whole. */
void vaec_pass_all(const vaec_chain *chain, vaec_pass *pass);

/* depth_to_space(layer(x), 2) of a row x (width, inputs): outputs in rows `above` and `below` of 2 width positions. */
void vaec_spread(const vaec_kernel *kernel, const vaec_linear *layer, const int16_t *x, int32_t width, int32_t limit,
                 int16_t *above, int16_t *below);

/* space_to_depth of two rows of 2 width positions, (width, 4 channels). */
void vaec_gather(const int16_t *above, const int16_t *below, int32_t width, int32_t channels, int16_t *out);

#endif
