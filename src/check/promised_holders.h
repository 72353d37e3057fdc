/* What is in the store, read from its file by a process of the store's own program: so no other one
 * has a database's library in it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "check/holders.h"
#include "ipc/storing.h"

struct promises_read {
	bool is_there; /* there is a file */
	struct stored_endpoint *endpoints; /* without their private keys */
	size_t n_endpoints;
	struct holder_list holders;
};

/* Reads all of it, as it is at this moment; waits a few seconds at the most. Returns 0 or -errno;
 * why is said on standard error. To be freed with promises_free() in either case. */
int promises_read(struct promises_read *promises);
void promises_free(struct promises_read *promises);
