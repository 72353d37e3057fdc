/* The first process of the namespaces of `vprox exec`: with its end everything in them ends. */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/resolvers.h"
#include "client/command_user.h"

enum {
	/* Exit statuses, as those of env(1). */
	COMMAND_NOT_RUN = 125, /* it was not started: vprox has said why */
	COMMAND_NOT_EXECUTABLE = 126,
	COMMAND_NOT_FOUND = 127,
	COMMAND_KILLED = 128, /* and the signal's number on top */
};

/* What is to be run. */
struct command_plan {
	char **arguments; /* of execvp(3) */
	const struct command_user *user;
	char *password; /* to be forgotten, in this process */
	/* What is set again in the command's environment, a name and its value, as the client has
	 * taken it out of its own; NULL: nothing. */
	const char *variable, *value;
	bool allow_inbound; /* not only answers come out of the tunnel */
	sigset_t mask; /* the signals that are blocked in the command */
};

/* The one message to it, over a SOCK_SEQPACKET socket: that the tunnel is up. */
struct command_go {
	struct resolvers resolvers;
};

/* The life of the process, from the fork on; control: its end of the socket, at whose end it ends
 * too. */
__attribute__((noreturn)) void command_init_run(const struct command_plan *plan, int control);
