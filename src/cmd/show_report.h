/* `vprox show`, its parts: choosing from a report, and the three ways to print it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/ipv4.h"
#include "base/key.h"

struct report;
struct text_style;

/* What to show; zeroed: all. */
struct report_choice {
	bool of_endpoint;
	struct ipv4 endpoint; /* its bind address */
	bool of_address;
	struct ipv4 address; /* a peer's, inner or outer */
	const char *name; /* a pattern of fnmatch(3) for a peer's; NULL: any */
	bool of_key;
	struct key key; /* a peer's */
};

/* Leaves out what was not chosen, endpoints without a chosen peer too, and puts the peers into the
 * order of their endpoints and inner addresses. Returns whether anything is left, or
 * all was chosen. */
bool report_choose(struct report *report, const struct report_choice *choice);

/* For people; its lines may still be wider than the style (text_wrap()). now_s: seconds since 1970.
 */
void report_print_text(
	const struct report *report, uint64_t now_s, const struct text_style *style, FILE *out);
/* One JSON object, written while it is made: vprox-show(8) describes it. Returns 0, or -ENOMEM, and
 * then something is missing. */
int report_print_json(const struct report *report, bool on_one_line, FILE *out);
