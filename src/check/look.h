/* One look at the whole server. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "check/disagreements.h"

/* What was seen. */
struct check_result {
	struct disagreements disagreements; /* at each of the looks */
	bool runs; /* a server does */
	bool has_store;
	size_t n_endpoints, n_there, n_table,
		n_stored; /* peers, but for the first; at the last look */
	unsigned int n_looks,
		n_complete; /* server_check()'s: so many, and so many that did not fail */
	int ask_error; /* why the server that runs could not be asked: report_ask() */
};

/*
 * Fills it in, but for the numbers of looks. Returns 0, or -errno if something could not be asked:
 * then ask_error is set, or why is logged. What disagrees is the caller's to free in either case.
 */
int look_at_server(struct check_result *check);
