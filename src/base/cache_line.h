/* Memory that several processors write to at the same time: what lies in one line goes from one to
 * the other with each write, whoever else needs it. */
#pragma once

#include <stddef.h>

enum { CACHE_LINE = 64 };

/* n items of this size, all zeros, the first of which begins a line: calloc() gives 16 bytes, so
 * that _Alignas() inside the items would mean nothing. As with calloc(), pages that nobody writes
 * to take no memory. The caller's, until cache_line_free(). NULL: no memory. */
void *cache_line_calloc(size_t n, size_t size);
/* NULL: nothing happens. */
void cache_line_free(void *items);
