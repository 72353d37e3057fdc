/* The endpoints of a server's start. */
#pragma once

#include <stddef.h>

#include "base/ipv4.h"

struct data_plane;

/*
 * Gives every --ip and those n followed addresses that the host has an index, removes what an
 * earlier server left for others, and describes the endpoints; nothing is made yet. Followed
 * addresses that the store knows and the host has not are known too; for those that there is no
 * block left for, nothing is described. Logs. Returns 0 or -errno.
 */
int initial_endpoints_describe(
	struct data_plane *data_plane, const struct ipv4 *followed, size_t n);
