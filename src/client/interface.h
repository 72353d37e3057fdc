/* The client's end of the tunnel: an interface, of the kernel's or of a userspace device. */
#pragma once

#include <stdbool.h>

#include "client/config.h"

struct interface;

/*
 * Decides on the plane, and looks for an interface of the name: one of this client's will be used
 * by interface_set(); anybody else's is an error. Makes nothing. private_key is kept by
 * reference. Returns 0 or -errno, logged.
 */
int interface_open(const struct client_config *config, const struct key *private_key,
	struct interface **interface);

/*
 * Makes the interface if it is not there, and sets it up for the tunnel; what already is as it
 * should be goes on without interruption. renew: a tunnel that is there is begun anew, as it does
 * not work. Returns 0 or -errno, logged; what was made stays.
 */
int interface_set(struct interface *interface, const struct tunnel *tunnel, bool renew);

/*
 * Whether this host can take the tunnel's addresses. Returns 0, -EADDRINUSE with what is in the way
 * in why, or another negative errno, logged.
 */
int interface_check(
	const struct interface *interface, const struct tunnel *tunnel, char *why, size_t size);

/*
 * Sets the MTU that --mtu names or, without it, that the way to the server has room for; where that
 * is as before, another program's choice stays. What cannot be set is logged, and no obstacle.
 */
void interface_set_mtu(struct interface *interface);

/* Whether it is still there as interface_set() left it, and up. */
bool interface_is_up(const struct interface *interface);

/* When the tunnel's two ends have last shaken hands, ns since 1970; 0: never, it cannot be found
 * out, or a tunnel of this kind has no handshake. */
uint64_t interface_handshake(struct interface *interface);

unsigned int interface_ifindex(const struct interface *interface);
/* "kernel", "embedded" */
const char *interface_plane(const struct interface *interface);

/* Frees; removes the interface unless it is to be kept. NULL is fine. */
void interface_close(struct interface *interface, bool keep);
