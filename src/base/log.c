/* Writes log lines as text or JSON. Every process and thread logs by it; the level, format and name
 * are set once, at the start. */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log_output.h"

enum {
	MESSAGE_SIZE = 1024,
	ESCAPE_SIZE = sizeof "\\u0000", /* of one byte, at the most, and a NUL */
};

/* A line that is being put together. There always is room for its end. */
struct line {
	char text[LOG_OUTPUT_LINE_MAX];
	size_t length;
};

static const char *const level_names[] = {"error", "warning", "info", "debug"};
/* Of sd-daemon(3). */
static const char *const priorities[] = {"<3>", "<4>", "<6>", "<7>"};
static const char *const format_names[] = {"text", "json"};

static struct {
	enum log_level level;
	enum log_format format;
	const char *process;
	atomic_uint lost; /* lines, since the last that said so */
} settings = {LOG_LEVEL_INFO, LOG_FORMAT_TEXT, "vprox", 0};

void log_open(void)
{
	log_output_open();
}

void log_find_journal(void)
{
	log_output_find_journal();
}

void log_setup(enum log_level level, enum log_format format, const char *process)
{
	settings.level = level;
	settings.format = format;
	settings.process = process;
}

void log_switch(enum log_level level, enum log_format format)
{
	log_setup(level, format, settings.process);
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

/* Most are as they are, and a line has a hundred: nothing is to be formatted for each. */
static void keep(char escaped[ESCAPE_SIZE], unsigned char c)
{
	escaped[0] = (char)c;
	escaped[1] = '\0';
}

/* RFC 8259, section 7. Bytes from 0x80 up are UTF-8 by assumption. */
static void json_escape(char escaped[ESCAPE_SIZE], unsigned char c)
{
	if (c == '"' || c == '\\')
		snprintf(escaped, ESCAPE_SIZE, "\\%c", c);
	else if (c < 0x20)
		snprintf(escaped, ESCAPE_SIZE, "\\u%04x", c);
	else
		keep(escaped, c);
}

/* A line that came from outside must not look like two. */
static void text_escape(char escaped[ESCAPE_SIZE], unsigned char c)
{
	if (c < 0x20 || c == 0x7f)
		snprintf(escaped, ESCAPE_SIZE, "\\x%02x", c);
	else
		keep(escaped, c);
}

/* As much of the message as there is room for, and its end. */
static void append_message(struct line *line, const char *message,
	void (*escape)(char *escaped, unsigned char c), const char *end)
{
	size_t room = sizeof line->text - strlen(end);

	for (; *message; message++) {
		char escaped[ESCAPE_SIZE];
		size_t n;

		escape(escaped, (unsigned char)*message);
		n = strlen(escaped);
		if (line->length + n > room)
			break;
		memcpy(line->text + line->length, escaped, n);
		line->length += n;
	}
	memcpy(line->text + line->length, end, strlen(end));
	line->length += strlen(end);
}

__attribute__((format(printf, 2, 3))) static void begin_line(
	struct line *line, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	line->length = (size_t)vsnprintf(line->text, sizeof line->text, format, args);
	va_end(args);
}

static const char *priority_of(enum log_level level)
{
	return log_output_is_journal() ? priorities[level] : "";
}

/* The members of an object behind the message, if they have room. */
static void append_members(struct line *line, const char *object)
{
	static const char end[] = "\"}\n";
	size_t start = line->length - strlen(end), n = object ? strlen(object + 1) : 0;

	if (n == 0 || start + strlen("\",\n") + n > sizeof line->text)
		return;
	memcpy(line->text + start, "\",", 2);
	memcpy(line->text + start + 2, object + 1, n);
	line->text[start + 2 + n] = '\n';
	line->length = start + 2 + n + 1;
}

static void compose(
	struct line *line, enum log_level level, const char *object, const char *message)
{
	const char *priority = priority_of(level);
	const struct time_text now = time_text(clock_wall_ns());

	if (settings.format == LOG_FORMAT_JSON) {
		begin_line(line,
			"%s{\"time\":\"%s\",\"level\":\"%s\",\"process\":\"%s\",\"message\":\"",
			priority, now.s, level_names[level], settings.process);
		append_message(line, message, json_escape, "\"}\n");
		append_members(line, object);
	} else {
		begin_line(line, "%s%s %s %s: ", priority, now.s, level_names[level],
			settings.process);
		append_message(line, message, text_escape, "\n");
	}
}

static bool write_line(enum log_level level, const char *object, const char *message)
{
	struct line line;

	compose(&line, level, object, message);
	return log_output_write(line.text, line.length);
}

/* Says how many lines were lost, once a line can be written again. */
static bool write_lost(void)
{
	unsigned int lost = atomic_exchange(&settings.lost, 0);
	char message[MESSAGE_SIZE];

	if (lost == 0)
		return true;
	snprintf(message, sizeof message,
		"%u lines of the log are lost: nobody read them, or there was no room", lost);
	if (write_line(LOG_LEVEL_WARNING, NULL, message))
		return true;
	atomic_fetch_add(&settings.lost, lost);
	return false;
}

bool log_say_lost(void)
{
	int saved_errno = errno;
	bool ok = write_lost();

	errno = saved_errno;
	return !ok;
}

/* For people, who wait for it. */
static void write_plain(enum log_level level, const char *message)
{
	struct line line = {.length = 0};
	int fd = level >= LOG_LEVEL_INFO ? STDOUT_FILENO : STDERR_FILENO;

	if (fd == STDERR_FILENO)
		begin_line(&line, "%svprox %s: ", priority_of(level), settings.process);
	append_message(&line, message, text_escape, "\n");
	if (write(fd, line.text, line.length) < 0) {
		/* There is nowhere left to report it. */
	}
}

static void write_message(
	enum log_level level, const char *object, const char *format, va_list args)
{
	char message[MESSAGE_SIZE];
	int saved_errno = errno;

	if (level > settings.level)
		return;
	vsnprintf(message, sizeof message, format, args);
	if (settings.format == LOG_FORMAT_PLAIN)
		write_plain(level, message);
	else if (!write_lost() || !write_line(level, object, message))
		atomic_fetch_add(&settings.lost, 1);
	errno = saved_errno;
}

void log_line(enum log_level level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	write_message(level, NULL, format, args);
	va_end(args);
}

bool log_has_fields(enum log_level level)
{
	return settings.format == LOG_FORMAT_JSON && level <= settings.level;
}

void log_with_fields(enum log_level level, const char *object, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	write_message(level, object, format, args);
	va_end(args);
}
