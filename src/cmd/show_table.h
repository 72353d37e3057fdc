/* The table of an endpoint's clients, as `vprox show` prints it for people. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct report_peer;
struct report;
struct text_style;

/*
 * As many columns as there is room for, keys cut in the middle where that saves one, numbers short;
 * all of it, in full, where style->columns is 0. now_s: seconds since 1970.
 */
void show_table(const struct report *report, const struct report_peer *peers, size_t n,
	uint64_t now_s, const struct text_style *style, FILE *out);
