/* Sums of products for the encoder's least squares, exact in any order. */
#include "vaec_core.h"

#define PART 256 /* products of 11 bits and a sign, of which so many fit in 32 bits */

void vaec_gram(const int16_t *rows, int32_t count, int64_t n, int64_t *sums) {
    for (int32_t i = 0; i < count; i++)
        for (int32_t j = 0; j <= i; j++) {
            const int16_t *a = rows + i * n, *b = rows + j * n;
            int64_t sum = 0;
            for (int64_t first = 0; first < n; first += PART) {
                int64_t end = n - first < PART ? n : first + PART;
                int32_t part = 0;
                for (int64_t k = first; k < end; k++) part += a[k] * b[k];
                sum += part;
            }
            sums[i * count + j] += sum;
            if (i != j) sums[j * count + i] += sum;
        }
}
