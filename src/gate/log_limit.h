/* Keeps those who can cause log lines from flooding the log: a few a second, the rest counted. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	LOG_LIMIT_LINES = 5, /* in each LOG_LIMIT_WINDOW_MS */
	LOG_LIMIT_WINDOW_MS = 1000,
};

/* Zeroed at first. */
struct log_limit {
	uint64_t window_start_ms;
	unsigned int lines; /* in this window */
	unsigned int suppressed; /* since the last line */
};

/* " (and N more like it)", or nothing. */
struct log_limit_text {
	char s[sizeof " (and 4294967295 more like it)"];
};

/* Whether a line may be written now; if so, with what to put at its end. */
bool log_limit_allows(struct log_limit *limit, uint64_t now_ms, struct log_limit_text *more);
