/* Whether an address that a cloud says is this host's can be: what says so may be wrong. */
#pragma once

#include <stddef.h>

#include "base/ipv4.h"

struct netlink;

enum { INSTANCE_MAC_SIZE = 6 };

/* What the host has, at one moment. */
struct instance {
	struct link *links;
	struct address *addresses;
	struct route *routes;
	size_t n_links, n_addresses, n_routes;
};

/* Returns 0 or -errno. To be freed in either case. */
int instance_look(struct netlink *netlink, struct instance *instance);
void instance_free(struct instance *instance);

/*
 * Whether the host has the address, or could be given it as one of the network that the interface
 * with this MAC is in, where it is no router's. interface: the name that this must have; NULL: any.
 * Returns NULL if it can be the host's, else why not, in words to follow the address.
 */
const char *instance_address_fault(const struct instance *instance, struct ipv4 address,
	const unsigned char mac[INSTANCE_MAC_SIZE], const char *interface);
