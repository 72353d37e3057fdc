/* The lines of `vprox check SERVER`, as they are found. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	REACH_TEXT_SIZE = 1024,
	REACH_MAX = 24, /* lines */
};

enum reach_verdict {
	REACH_GOOD,
	REACH_NOTE, /* no fault, but worth knowing */
	REACH_BAD,
};

struct reach_line {
	const char *what; /* "https", "wireguard", ... */
	enum reach_verdict verdict;
	char text[REACH_TEXT_SIZE]; /* what was found, and if it is a fault what to do */
	uint32_t mtu; /* of a tunnel that works: the largest packet that passes; 0: not known */
};

struct reach_result {
	struct reach_line lines[REACH_MAX];
	size_t n;
};

/* One more; left out where there is no room. */
__attribute__((format(printf, 4, 5))) void reach_add(struct reach_result *result, const char *what,
	enum reach_verdict verdict, const char *format, ...);

/* Of the line that was added last. */
void reach_set_mtu(struct reach_result *result, uint32_t mtu);

/* Whether there is no fault among the lines. */
bool reach_is_good(const struct reach_result *result);
