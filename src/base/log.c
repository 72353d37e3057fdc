/* Writes log lines as text or JSON. Every process and thread logs by it; the level, format and name
 * are set once, at the start. */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	MESSAGE_SIZE = 1024,
	LINE_SIZE = 6 * MESSAGE_SIZE + 256, /* JSON escapes one byte as six at the most */
};

static const char *const level_names[] = {"error", "warning", "info", "debug"};
static const char *const format_names[] = {"text", "json"};

static struct {
	enum log_level level;
	enum log_format format;
	const char *process;
} settings = {LOG_LEVEL_INFO, LOG_FORMAT_TEXT, "vprox"};

void log_setup(enum log_level level, enum log_format format, const char *process)
{
	settings.level = level;
	settings.format = format;
	settings.process = process;
}

static int find_name(const char *const *names, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i], text) == 0)
			return (int)i;
	return -EINVAL;
}

int log_level_parse(const char *text, enum log_level *level)
{
	int i = find_name(level_names, sizeof level_names / sizeof *level_names, text);

	if (i < 0)
		return i;
	*level = (enum log_level)i;
	return 0;
}

int log_format_parse(const char *text, enum log_format *format)
{
	int i = find_name(format_names, sizeof format_names / sizeof *format_names, text);

	if (i < 0)
		return i;
	*format = (enum log_format)i;
	return 0;
}

static void timestamp(char *text, size_t size)
{
	struct timespec now;
	struct tm tm;
	char date[32];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text, size, "%s.%03ldZ", date, now.tv_nsec / 1000000);
}

/* RFC 8259, section 7. Bytes from 0x80 up are UTF-8 by assumption. */
static size_t json_escape(char *out, const char *in)
{
	char *p = out;

	for (; *in; in++) {
		unsigned char c = (unsigned char)*in;

		if (c == '"' || c == '\\') {
			*p++ = '\\';
			*p++ = (char)c;
		} else if (c < 0x20) {
			p += sprintf(p, "\\u%04x", c);
		} else {
			*p++ = (char)c;
		}
	}
	return (size_t)(p - out);
}

/* A line that came from outside must not look like two. */
static size_t text_escape(char *out, const char *in)
{
	char *p = out;

	for (; *in; in++) {
		unsigned char c = (unsigned char)*in;

		if (c < 0x20 || c == 0x7f)
			p += sprintf(p, "\\x%02x", c);
		else
			*p++ = (char)c;
	}
	return (size_t)(p - out);
}

void log_line(enum log_level level, const char *format, ...)
{
	char message[MESSAGE_SIZE], line[LINE_SIZE], time_text[64];
	int fd = STDERR_FILENO;
	size_t n = 0;
	va_list args;
	int saved_errno = errno;

	if (level > settings.level)
		return;
	va_start(args, format);
	vsnprintf(message, sizeof message, format, args);
	va_end(args);

	if (settings.format == LOG_FORMAT_JSON) {
		timestamp(time_text, sizeof time_text);
		n = (size_t)snprintf(line, sizeof line,
			"{\"time\":\"%s\",\"level\":\"%s\",\"process\":\"%s\",\"message\":\"",
			time_text, level_names[level], settings.process);
		n += json_escape(line + n, message);
		n += (size_t)sprintf(line + n, "\"}\n");
	} else if (settings.format == LOG_FORMAT_PLAIN) {
		if (level >= LOG_LEVEL_INFO)
			fd = STDOUT_FILENO;
		else
			n = (size_t)snprintf(line, sizeof line, "vprox %s: ", settings.process);
		n += text_escape(line + n, message);
		line[n++] = '\n';
	} else {
		timestamp(time_text, sizeof time_text);
		n = (size_t)snprintf(line, sizeof line, "%s %s %s: ", time_text, level_names[level],
			settings.process);
		n += text_escape(line + n, message);
		line[n++] = '\n';
	}
	if (write(fd, line, n) < 0) {
		/* There is nowhere left to report it. */
	}
	errno = saved_errno;
}
