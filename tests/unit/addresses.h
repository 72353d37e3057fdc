/* Addresses and prefixes as a test writes them. */
#pragma once

#include "base/ipv4.h"
#include "test.h"

static inline struct ipv4 ipv4(const char *text)
{
	struct ipv4 address;

	assert_int_equal(ipv4_parse(text, &address), 0);
	return address;
}

static inline struct prefix prefix(const char *text)
{
	struct prefix prefix;

	assert_int_equal(prefix_parse(text, &prefix), 0);
	return prefix;
}
