/* Little-endian integers as they lie on the wire: byte arrays, so that structs of them have no
 * padding and alignment 1. */
#pragma once

#include <stdint.h>

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

static inline uint64_t le64_get(struct le64 v)
{
	uint64_t value = 0;

	for (int i = 7; i >= 0; i--)
		value = value << 8 | v.bytes[i];
	return value;
}

static inline struct le64 le64_make(uint64_t v)
{
	struct le64 le;

	for (int i = 0; i < 8; i++)
		le.bytes[i] = (uint8_t)(v >> (8 * i));
	return le;
}
