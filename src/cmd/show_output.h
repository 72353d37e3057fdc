/* Where `vprox show` writes its reports, one after the other. */
#pragma once

#include <stdbool.h>

#include "cmd/terminal_text.h"

struct show_output {
	bool may_redraw; /* on a terminal, draw each report over the one before */
	bool has_gaps; /* else, an empty line between two */
	bool has_written; /* a report, before */
};

/*
 * How text for people is to look on standard output: as wide as the terminal, and in colour unless
 * the environment has NO_COLOR (no-color.org) or the terminal is "dumb". On anything but a terminal
 * always the same: in full, without colour.
 */
struct text_style output_style(void);

/* Writes a report to standard output, all at once, so that a line is never half there. Returns 0 or
 * a negative errno. */
int output_write(struct show_output *output, const char *text);

/* Writes what went wrong, with a newline: over what was drawn, or else to standard error. */
void output_write_error(struct show_output *output, const char *text);
