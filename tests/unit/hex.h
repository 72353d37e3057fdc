/* Bytes of published vectors, as they are printed. */
#pragma once

#include <stdio.h>

#include "test.h"

/* Reads all of the text, without white space, into bytes; returns how many. */
static inline size_t from_hex(const char *text, uint8_t *bytes, size_t max)
{
	size_t n = strlen(text) / 2;

	assert_true(n <= max);
	for (size_t i = 0; i < n; i++) {
		unsigned int byte;

		assert_int_equal(sscanf(text + 2 * i, "%2x", &byte), 1);
		bytes[i] = (uint8_t)byte;
	}
	return n;
}

static inline void assert_hex_equal(const uint8_t *bytes, size_t n, const char *text)
{
	uint8_t wanted[1024];

	assert_int_equal(from_hex(text, wanted, sizeof wanted), n);
	assert_memory_equal(bytes, wanted, n);
}
