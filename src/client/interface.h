/* The client's end of the tunnel: an interface, of the kernel's or of a userspace device. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "client/config.h"
#include "netlink/link.h"

struct interface;

enum {
	/* On the tunnel's own packets, and on requests to the server: --route does not apply to
	 * them. 'vprx' in ASCII: a number nobody is known to use. */
	CLIENT_FWMARK = 0x76707278,
};

/*
 * Decides on the plane, and looks for an interface of the name: one of this client's is taken over
 * later, by interface_set(); anybody else's is an error. Makes nothing. private_key is kept by
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

/* Whether it is still there as interface_set() left it, and up. */
bool interface_is_up(const struct interface *interface);

unsigned int interface_ifindex(const struct interface *interface);
/* "kernel", "embedded" */
const char *interface_plane(const struct interface *interface);

/* Frees; removes the interface unless it is to be kept. NULL is fine. */
void interface_close(struct interface *interface, bool keep);
