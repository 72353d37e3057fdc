/* Where `vprox show` writes its reports, one after the other. */
#pragma once

#include <stdbool.h>

struct show_output {
	bool may_redraw; /* on a terminal, draw each report over the one before */
	bool has_gaps; /* else, an empty line between two */
	bool has_written; /* a report, before */
};

/* Writes a report to standard output, all at once, so that a line is never half there. Returns 0 or
 * a negative errno. */
int output_write(struct show_output *output, const char *text);

/* Writes what went wrong, with a newline: over what was drawn, or else to standard error. */
void output_write_error(struct show_output *output, const char *text);
