/* Memory that begins on a cache line. Any thread may ask for it. */
#include "base/cache_line.h"

#include <stdint.h>
#include <stdlib.h>

/* In the line before the items: where they were allocated. */
static void **whole_of(void *items)
{
	return (void **)((char *)items - CACHE_LINE);
}

void *cache_line_calloc(size_t n, size_t size)
{
	size_t room = 2 * CACHE_LINE;
	char *whole, *items;

	if (size != 0 && n > (SIZE_MAX - room) / size)
		return NULL;
	whole = calloc(1, n * size + room);
	if (!whole)
		return NULL;
	items = whole + room - (uintptr_t)whole % CACHE_LINE;
	*whole_of(items) = whole;
	return items;
}

void cache_line_free(void *items)
{
	if (items)
		free(*whole_of(items));
}
