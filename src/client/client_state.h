/*
 * What a client tells of itself: a JSON object in /run/vprox/client-state-INTERFACE, which `vprox
 * status` reads. It is written whole whenever something changes, and stays when the client dies, so
 * that whoever reads it asks also whether the client's lock is held.
 */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

#include "client/config.h"

enum {
	CLIENT_STATE_MAX = 64, /* clients of one host that are listed */
};

/* What changes; the rest is in the configuration. */
struct client_facts {
	const char *state; /* "connecting", "checking", "up", "down", "left up" */
	uint64_t since_s; /* when that began, s since 1970 */
	const struct tunnel *tunnel; /* the last that was set up; NULL: none yet */
	const char *plane; /* "kernel", "embedded" */
	const char *fault; /* what fails; "": nothing */
	bool is_mute; /* no echo comes back */
	bool is_blocked; /* what is routed goes into the tunnel or nowhere */
};

/* Returns 0 or -errno. */
int client_state_write(const struct client_config *config, const struct client_facts *facts);
void client_state_remove(const char *interface);

/* The object, with `running` added: whether the client does. NULL with errno set: ENOENT, there is
 * none, or it cannot be read. To be freed by json_decref(). */
json_t *client_state_read(const char *interface);

/* The interfaces that there is a state of, in their order. Returns how many, or -errno. */
ssize_t client_state_list(char names[CLIENT_STATE_MAX][IF_NAMESIZE]);
