/* Libraries that are loaded where they are called, and not with the program. */
#pragma once

#include <stddef.h>

enum {
	SHARED_LIBRARY_REASON_SIZE = 256,
};

struct shared_library {
	const char *soname; /* of the version that its header is of */
	const char *package; /* Debian's */
};

/* Where a function's address goes, in the struct of those that are used. */
struct shared_function {
	const char *name;
	size_t offset;
};

/* Why it cannot be loaded: for people, one line. */
struct shared_library_reason {
	char text[SHARED_LIBRARY_REASON_SIZE];
};

/* Loads it and fills in the struct, of which nothing is used after a failure. Returns what
 * dlclose(3) takes; or NULL, with the reason. A filter of system calls has to
 * leave the process those by which files are opened and mapped to be run. */
void *shared_library_load(const struct shared_library *library,
	const struct shared_function *functions, size_t n, void *filled_in,
	struct shared_library_reason *reason);
