/* Counts log lines a second. Runs in the gate. */
#include "gate/log_limit.h"

#include <stdio.h>

bool log_limit_allows(struct log_limit *limit, uint64_t now_ms, struct log_limit_text *more)
{
	if (now_ms - limit->window_start_ms >= LOG_LIMIT_WINDOW_MS) {
		limit->window_start_ms = now_ms;
		limit->lines = 0;
	}
	if (limit->lines >= LOG_LIMIT_LINES) {
		limit->suppressed++;
		return false;
	}
	limit->lines++;
	more->s[0] = '\0';
	if (limit->suppressed > 0)
		snprintf(more->s, sizeof more->s, " (and %u more like it)", limit->suppressed);
	limit->suppressed = 0;
	return true;
}
