/* Where a server's configuration comes from, when it is to be read again. */
#pragma once

#include <stdbool.h>

struct server_config;

struct config_source {
	/*
	 * Reads it again over a copy of the one that is in force. What cannot change while the
	 * server runs is left as it is there. Logs what is wrong. Returns 0; -EALREADY if there is
	 * no file to read, so that nothing can have changed; another -errno if it cannot be used.
	 */
	int (*read)(void *context, struct server_config *config);
	/* After a read() that returned 0: whether what was read is going to be in force. Logs what
	 * has changed then, and returns that in a few words, for the log. */
	const char *(*settle)(void *context, bool is_used);
	void *context;
};
