/* What the core needs of the C library, of which clang makes instructions of WebAssembly: there is no library. */
#ifndef VAEC_STRING_H
#define VAEC_STRING_H
#include <stddef.h>
void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int value, size_t n);
#endif
