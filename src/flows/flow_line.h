/* One line of the flow log. */
#pragma once

#include <stddef.h>

#include "flows/owners.h"
#include "netlink/conntrack_events.h"

enum {
	FLOW_LINE_SIZE = 512 + OWNERS_NAME_SIZE, /* the longest, with the final NUL */
};

/*
 * Writes a flow as a JSON object and a newline: {"start":...,"end":...}. What is not known is left
 * out, such as the owner where it is NULL. Returns the length.
 */
size_t flow_line_print(
	char line[FLOW_LINE_SIZE], const struct ended_flow *flow, const struct owner *owner);
