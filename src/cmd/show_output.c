/* Writes the reports of `vprox show`: to a pipe or a file one after the other, on a terminal with
 * --watch each over the one before. Runs in the process that root has started. */
#include "cmd/show_output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Control sequences of terminals: ECMA-48, 8.3. */
#define CLEAR_SCREEN "\033[2J"
#define TO_TOP "\033[H"
#define CLEAR_LINE "\033[0m\033[K" /* without colour, from the cursor on */
#define CLEAR_BELOW "\033[J"

enum { COLUMNS_OTHERWISE = 80 };

static bool wants_colour(void)
{
	const char *unwanted = getenv("NO_COLOR"), *terminal = getenv("TERM");

	return (!unwanted || *unwanted == '\0') && terminal && strcmp(terminal, "dumb") != 0;
}

struct text_style output_style(void)
{
	struct winsize size = {0};

	if (!isatty(STDOUT_FILENO))
		return (struct text_style){0};
	ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	return (struct text_style){.columns = size.ws_col > 0 ? size.ws_col : COLUMNS_OTHERWISE,
		.has_colour = wants_colour()};
}

/* From the top, cut to the size of the terminal. */
static void draw(const char *text, const struct winsize *size)
{
	unsigned int rows = 1, last = size->ws_row > 1 ? size->ws_row - 1 : 1;

	fputs(TO_TOP, stdout);
	for (; *text && rows < last; rows++) {
		printf("%.*s" CLEAR_LINE "\n", (int)text_cut(text, size->ws_col), text);
		text += strcspn(text, "\n");
		text += *text == '\n';
	}
	fputs(*text ? "..." CLEAR_LINE CLEAR_BELOW : CLEAR_BELOW, stdout);
}

/* The size may have changed since the last report. */
static bool redraws(const struct show_output *output, struct winsize *size)
{
	return output->may_redraw && isatty(STDOUT_FILENO) &&
	       ioctl(STDOUT_FILENO, TIOCGWINSZ, size) == 0 && size->ws_row > 0 && size->ws_col > 0;
}

int output_write(struct show_output *output, const char *text)
{
	struct winsize size;

	if (redraws(output, &size)) {
		if (!output->has_written)
			fputs(CLEAR_SCREEN, stdout);
		draw(text, &size);
	} else {
		if (output->has_written && output->has_gaps)
			fputc('\n', stdout);
		fputs(text, stdout);
	}
	output->has_written = true;
	if (fflush(stdout) == 0)
		return 0;
	return errno == EINTR ? 0 : -errno;
}

void output_write_error(struct show_output *output, const char *text)
{
	struct winsize size;

	if (output->has_written && redraws(output, &size))
		output_write(output, text);
	else
		fputs(text, stderr);
}
