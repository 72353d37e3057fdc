/* Rules on system calls and their arguments, for those that make a filter with libseccomp. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <seccomp.h>

enum {
	FILTER_CONDITIONS = 2,
};

struct filter_rule {
	int call; /* SCMP_SYS(name) */
	unsigned int n; /* conditions on its arguments, all of which must hold */
	struct scmp_arg_cmp conditions[FILTER_CONDITIONS];
};

/* An argument's condition: all of it, or the bits of a mask, must equal a value. */
#define FILTER_IS(argument, value) SCMP_CMP64(argument, SCMP_CMP_EQ, (uint64_t)(value))
#define FILTER_MASKED(argument, mask, value)                                                       \
	SCMP_CMP64(argument, SCMP_CMP_MASKED_EQ, (uint64_t)(mask), (uint64_t)(value))

/* Adds rules to a filter. A call that this machine does not have is passed over. Returns 0 or
 * -errno. */
int call_filter_add(
	scmp_filter_ctx filter, uint32_t action, const struct filter_rule *rules, size_t n);

/*
 * From now on, in all threads of this process and all that it starts, for good: what a rule matches
 * gets `matched`, everything else `otherwise` (SCMP_ACT_...). Needs no new privileges to be set.
 * Returns 0 or -errno.
 */
int call_filter_load(
	uint32_t otherwise, uint32_t matched, const struct filter_rule *rules, size_t n);
