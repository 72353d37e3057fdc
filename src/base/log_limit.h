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

/*
 * For lines that a stranger causes by name: a limit for each source, so that one who has many lines
 * does not hide those of the others, and one for all of them, since sources can be many. Bounded:
 * sources that fall into the same bucket share it. Zeroed at first.
 */
enum {
	LOG_LIMIT_SOURCES = 256, /* buckets */
	LOG_LIMIT_ALL_LINES = 50,
};

struct source_log_limit {
	struct log_limit all;
	struct log_limit sources[LOG_LIMIT_SOURCES];
};

/* As log_limit_allows(), for the source with this hash. What is suppressed because of all the
 * others is counted for the source too. */
bool source_log_limit_allows(struct source_log_limit *limit, uint64_t source, uint64_t now_ms,
	struct log_limit_text *more);

/* Whether a line may be written now; if so, with what to put at its end. */
bool log_limit_allows(struct log_limit *limit, uint64_t now_ms, struct log_limit_text *more);
