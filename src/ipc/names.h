/*
 * Looks up host names for a process that has given up what is needed for it: files, sockets of UDP,
 * the modules of nsswitch.conf(5). A child of its own does it, which is made before that process
 * knows any secret, has no right, and no way to anybody but a socket to it.
 */
#pragma once

#include <sys/types.h>

enum {
	NAMES_HOST_SIZE = 256, /* with the final NUL, as the next one */
	NAMES_ADDRESSES_SIZE = 512,
};

struct names_answer {
	char host[NAMES_HOST_SIZE];
	/* As curl's CURLOPT_RESOLVE has them, with commas between; "": it has none */
	char addresses[NAMES_ADDRESSES_SIZE];
	char reason[64]; /* why it has none */
};

struct names;

/* Starts the child, as this user and group. other: a descriptor that it must not have. Returns 0 or
 * -errno. */
int names_new(uid_t user, gid_t group, int other, struct names **names);
/* Has a name looked up, without waiting. Returns 0 or -errno: -EAGAIN if it is behind. */
int names_ask(struct names *names, const char *host);
/* The next answer; waits for it at the most so long. Returns 0, -EAGAIN if there is none, or -errno
 * if the child has ended. */
int names_receive(struct names *names, int timeout_ms, struct names_answer *answer);
/* The child ends by itself. NULL is fine. */
void names_free(struct names *names);
