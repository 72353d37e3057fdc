/* Arrays that grow by one item at a time. */
#pragma once

#include <stddef.h>

/* The array of n items of this size, with room for one more: it is made larger whenever n is a
 * power of two, and NULL is the one of none. Returns it where it is now, the caller's as before;
 * NULL: no memory, and it is as it was. */
void *array_grow(void *array, size_t n, size_t size);
