/* Colours, and lines that fit a terminal, for what `vprox show` prints. Runs in the process of
 * `vprox show`. */
#include "cmd/terminal_text.h"

#include <string.h>

#define CONTINUATION "      "

/* What the control sequence takes that is here, in bytes; 0: there is none. */
static size_t sequence_length(const char *text)
{
	size_t n;

	if (strncmp(text, "\033[", 2) != 0)
		return 0;
	n = 2 + strspn(text + 2, "0123456789;");
	return text[n] == 'm' ? n + 1 : 0;
}

const char *text_colour(const struct text_style *style, enum text_colour colour)
{
	static const char *const sequences[] = {
		[TEXT_PLAIN] = "\033[0m",
		[TEXT_BOLD] = "\033[1m",
		[TEXT_RED] = "\033[31m",
	};

	return style->has_colour ? sequences[colour] : "";
}

size_t text_cut(const char *text, size_t columns)
{
	size_t n = 0, length;

	for (; text[n] != '\0' && text[n] != '\n'; n += length) {
		length = sequence_length(text + n);
		if (length > 0)
			continue;
		if (columns == 0)
			break;
		columns--;
		length = 1;
	}
	return n;
}

/* Where to break a line of which n bytes fit: behind a space, or else there. */
static size_t breaking_point(const char *line, size_t n)
{
	size_t indent = strspn(line, " "), at = n;

	while (at > indent && line[at - 1] != ' ')
		at--;
	return at > indent ? at : n;
}

/* A line without its newline. */
static void wrap_line(const char *line, size_t length, size_t columns, FILE *out)
{
	const size_t further = strlen(CONTINUATION);
	size_t room = columns, n = text_cut(line, room);

	while (n < length) {
		size_t at = breaking_point(line, n);

		fprintf(out, "%.*s\n" CONTINUATION, (int)at, line);
		line += at;
		length -= at;
		room = columns > further + 1 ? columns - further : 1;
		n = text_cut(line, room);
	}
	fprintf(out, "%.*s\n", (int)length, line);
}

void text_wrap(const char *text, const struct text_style *style, FILE *out)
{
	while (*text) {
		size_t length = strcspn(text, "\n");

		if (style->columns == 0)
			fprintf(out, "%.*s\n", (int)length, text);
		else
			wrap_line(text, length, style->columns, out);
		text += length;
		text += *text == '\n';
	}
}
