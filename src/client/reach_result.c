/* Collects what was found. Runs in `vprox check`. */
#include "client/reach_result.h"

#include <stdarg.h>
#include <stdio.h>

void reach_add(struct reach_result *result, const char *what, enum reach_verdict verdict,
	const char *format, ...)
{
	struct reach_line *line = &result->lines[result->n];
	va_list args;

	if (result->n == REACH_MAX)
		return;
	line->what = what;
	line->verdict = verdict;
	line->mtu = 0;
	va_start(args, format);
	vsnprintf(line->text, sizeof line->text, format, args);
	va_end(args);
	result->n++;
}

void reach_set_mtu(struct reach_result *result, uint32_t mtu)
{
	if (result->n > 0)
		result->lines[result->n - 1].mtu = mtu;
}

bool reach_is_good(const struct reach_result *result)
{
	for (size_t i = 0; i < result->n; i++)
		if (result->lines[i].verdict == REACH_BAD)
			return false;
	return true;
}
