/* Counts log lines a second. Runs in the processes that strangers can have log: gates and broker.
 */
#include "base/log_limit.h"

#include <stdio.h>

static bool has_room(struct log_limit *limit, uint64_t now_ms, unsigned int max)
{
	if (now_ms - limit->window_start_ms >= LOG_LIMIT_WINDOW_MS) {
		limit->window_start_ms = now_ms;
		limit->lines = 0;
	}
	return limit->lines < max;
}

static void count_line(struct log_limit *limit, struct log_limit_text *more)
{
	limit->lines++;
	more->s[0] = '\0';
	if (limit->suppressed > 0)
		snprintf(more->s, sizeof more->s, " (and %u more like it)", limit->suppressed);
	limit->suppressed = 0;
}

bool log_limit_allows(struct log_limit *limit, uint64_t now_ms, struct log_limit_text *more)
{
	if (!has_room(limit, now_ms, LOG_LIMIT_LINES)) {
		limit->suppressed++;
		return false;
	}
	count_line(limit, more);
	return true;
}

bool source_log_limit_allows(struct source_log_limit *limit, uint64_t source, uint64_t now_ms,
	struct log_limit_text *more)
{
	struct log_limit *own = &limit->sources[source % LOG_LIMIT_SOURCES];

	if (!has_room(own, now_ms, LOG_LIMIT_LINES) ||
		!has_room(&limit->all, now_ms, LOG_LIMIT_ALL_LINES)) {
		own->suppressed++;
		return false;
	}
	limit->all.lines++;
	count_line(own, more);
	return true;
}
