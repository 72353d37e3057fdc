/* One line to standard error for each thing worth telling: a single write of at most 4096 bytes, so
 * that processes do not mix. Nobody has to read it: a line that cannot be written at once is lost,
 * and how many were is said as soon as that can be written. */
#pragma once

#include <stdbool.h>

enum {
	LOG_RETRY_MS = 1000, /* log_say_lost() */
};

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

enum log_format {
	LOG_FORMAT_TEXT, /* 2026-11-22T17:56:03.123Z info server: message */
	LOG_FORMAT_JSON, /* {"time":"...","level":"info","process":"server","message":"..."} */
	/* For commands that people run, without a name in log_format_parse(): "message" to standard
	 * output, what is wrong as "vprox PROCESS: message" to standard error. */
	LOG_FORMAT_PLAIN,
};

/* Once, at the start of a process that must never wait for who reads its log, while it still has
 * the rights that it begins with. */
void log_open(void);

/* At the start of a command, which may end before log_open(): lines for the journal have their
 * priority, in any format. */
void log_find_journal(void);

/* The process's name is kept by reference. Before this is called: info, text, "vprox". */
void log_setup(enum log_level level, enum log_format format, const char *process);

/* While the process runs. */
void log_switch(enum log_level level, enum log_format format);

/* Says how many lines were lost, if any were: as the next line does, but there may be none for
 * long. To be called by each process about every LOG_RETRY_MS, or for as long as it returns true:
 * it can not be written yet. */
bool log_say_lost(void);

/* "error", "warning", "info", "debug"; "text", "json". Return 0 or -EINVAL. */
int log_level_parse(const char *text, enum log_level *level);
int log_format_parse(const char *text, enum log_format *format);

__attribute__((format(printf, 2, 3))) void log_line(enum log_level level, const char *format, ...);

/* Whether a line of this level is written, and as JSON. */
bool log_has_fields(enum log_level level);
/* With the members of a JSON object, which has some, in one line ("{...}"), behind the message in
 * the form of JSON; as far as they have room. NULL: without. */
__attribute__((format(printf, 3, 4))) void log_with_fields(
	enum log_level level, const char *object, const char *format, ...);

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
