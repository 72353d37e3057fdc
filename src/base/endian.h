/* Little-endian integers as they lie on the wire: byte arrays, so that structs of them have no
 * padding and alignment 1. */
#pragma once

#include <endian.h>
#include <stdint.h>
#include <string.h>

struct le32 {
	uint8_t bytes[4];
};

struct le64 {
	uint8_t bytes[8];
};

static inline uint32_t le32_get(struct le32 v)
{
	return (uint32_t)v.bytes[0] | (uint32_t)v.bytes[1] << 8 | (uint32_t)v.bytes[2] << 16 |
	       (uint32_t)v.bytes[3] << 24;
}

static inline struct le32 le32_make(uint32_t v)
{
	return (struct le32){
		{(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)}};
}

/* By copy and not byte by byte: compilers see what is meant, and it is on the data path. */
static inline uint64_t le64_get(struct le64 v)
{
	uint64_t value;

	memcpy(&value, v.bytes, sizeof value);
	return le64toh(value);
}

static inline struct le64 le64_make(uint64_t v)
{
	struct le64 le;

	v = htole64(v);
	memcpy(le.bytes, &v, sizeof le.bytes);
	return le;
}
