/*
 * Text as a terminal shows it: so many columns wide, and with colours, which are control sequences
 * in it that take no column (ECMA-48, 8.3.117). All other bytes are taken for one column each.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct text_style {
	size_t columns; /* 0: as many as the text needs */
	bool has_colour;
};

enum text_colour {
	TEXT_PLAIN,
	TEXT_BOLD,
	TEXT_RED,
};

/* The sequence that begins the colour; "" where there is to be none. */
const char *text_colour(const struct text_style *style, enum text_colour colour);

/* How many bytes of the line that text begins with take at most so many columns; what ends a colour
 * comes with them. */
size_t text_cut(const char *text, size_t columns);

/* Writes the lines of text; what is wider than the style's columns is broken at spaces, and goes on
 * further to the right. */
void text_wrap(const char *text, const struct text_style *style, FILE *out);
