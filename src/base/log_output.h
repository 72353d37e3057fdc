/* Where log lines go: standard error, which nobody need read. Writing never waits. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum {
	/* Bytes of a line, with its end. A pipe takes so many as a whole or not at all: PIPE_BUF,
	   pipe(7). */
	LOG_OUTPUT_LINE_MAX = 4096,
};

/*
 * Finds out what standard error is, so that no write to it waits. A pipe, a FIFO or a terminal is
 * opened anew, since others share the flags of the one that was inherited; to be called at the
 * start of a process, before it gives up the right to open it.
 */
void log_output_open(void);

/* Finds out whether the journal reads it, for what is said before that. */
void log_output_find_journal(void);

/* Whether the journal reads it, says JOURNAL_STREAM: systemd.exec(5). */
bool log_output_is_journal(void);

/* False if a line of at most LOG_OUTPUT_LINE_MAX bytes is lost, because nobody reads or there is
 * no room. Any thread may call it. */
bool log_output_write(const char *line, size_t length);
