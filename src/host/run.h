/* Runs one of the host's programs: never while a request waits for it, never through a shell. */
#pragma once

#include <stddef.h>

enum {
	RUN_MAX_OUTPUT = 16 << 20, /* bytes; a multiple of any page's size */
	RUN_ERROR_SIZE = 256,
};

/* Why it failed: for people, one line; the program's own message, if it wrote one. */
struct run_error {
	char text[RUN_ERROR_SIZE];
};

/*
 * Starts the program, looked up in PATH and in the sbin folders, with the input (NULL: none) on its
 * standard input and nothing of our environment but PATH; waits for its end, not for that of
 * programs that it has started. *output (may be NULL) is what it wrote to its standard output,
 * ended by a NUL, to be freed by the caller; set on success only.
 *
 * Returns 0 if it ended with status 0; -ENOENT if there is no such program, -ETIMEDOUT if it was
 * killed after timeout_ms, -EFBIG if it wrote RUN_MAX_OUTPUT or more, -EIO if it failed, or another
 * errno.
 */
int run_program(const char *const arguments[], const char *input, unsigned int timeout_ms,
	char **output, struct run_error *error);
