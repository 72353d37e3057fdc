/* One line to standard error for each thing worth telling: a single write of at most 4096 bytes, so
 * that processes do not mix. Nobody has to read it: a line that cannot be written at once is lost,
 * and the next one that can be says how many were. */
#pragma once

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

/* The process's name is kept by reference. Before this is called: info, text, "vprox". */
void log_setup(enum log_level level, enum log_format format, const char *process);

/* "error", "warning", "info", "debug"; "text", "json". Return 0 or -EINVAL. */
int log_level_parse(const char *text, enum log_level *level);
int log_format_parse(const char *text, enum log_format *format);

__attribute__((format(printf, 2, 3))) void log_line(enum log_level level, const char *format, ...);

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
