/* Makes a filter of system calls of a list. Runs in the process that it is for, at its start. */
#include "base/call_filter.h"

#include <errno.h>

static int add_rule(scmp_filter_ctx filter, uint32_t action, const struct filter_rule *rule)
{
	int error = seccomp_rule_add_array(filter, action, rule->call, rule->n, rule->conditions);

	return error == -EDOM ? 0 : error;
}

int call_filter_add(
	scmp_filter_ctx filter, uint32_t action, const struct filter_rule *rules, size_t n)
{
	int error = 0;

	for (size_t i = 0; i < n && error == 0; i++)
		error = add_rule(filter, action, &rules[i]);
	return error;
}

int call_filter_load(
	uint32_t otherwise, uint32_t matched, const struct filter_rule *rules, size_t n)
{
	scmp_filter_ctx filter = seccomp_init(otherwise);
	int error;

	if (!filter)
		return -ENOMEM;
	error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (error == 0)
		error = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (error == 0)
		error = call_filter_add(filter, matched, rules, n);
	if (error == 0)
		error = seccomp_load(filter);
	seccomp_release(filter);
	return error;
}
