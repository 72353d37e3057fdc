/* Grows arrays. Runs wherever there are some. */
#include "base/array.h"

#include <stdlib.h>

void *array_grow(void *array, size_t n, size_t size)
{
	if (n > 0 && (n & (n - 1)) != 0)
		return array;
	return reallocarray(array, n > 0 ? 2 * n : 1, size);
}
