/*
 * What an interface is made of, and what is different between the kernel's and a userspace
 * device's, and between WireGuard and IPIP: a table of functions each. interface.c chooses one of
 * the tables and calls it; they do not call back. Included by interface*.c only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "client/config.h"
#include "client/tunnel.h"
#include "netlink/link.h"
#include "netlink/socket.h"

enum {
	KEEPALIVE_S = 25, /* as the Go client has it */
};

struct interface {
	const struct client_config *config;
	const struct interface_kind *kind;
	const struct key *private_key;
	struct netlink *route, *generic; /* where it is */
	struct netlink *outside; /* where it is made, and its packets go: the same, or the host */
	uint16_t wireguard; /* generic netlink's family */
	char aliases[2][LINK_ALIAS_SIZE]; /* of this client's, by the kind of tunnel */
	unsigned int ifindex; /* 0: there is none yet */
	uint32_t mtu; /* as it was set; 0: not yet */
	struct tunnel tunnel; /* as it was set; zero: not yet */
};

/* Whether a link is this client's by its alias, of either kind of tunnel. */
static inline bool interface_bears_alias(const struct interface *interface, const struct link *link)
{
	return strcmp(link->alias, interface->aliases[TUNNEL_WIREGUARD]) == 0 ||
	       strcmp(link->alias, interface->aliases[TUNNEL_IPIP]) == 0;
}

struct interface_kind {
	const char *plane, *link_kind;

	/* 0, or -EOPNOTSUPP if this host does not have it, or another errno. */
	int (*probe)(struct interface *interface);
	/* Makes it: down, without address and key. */
	int (*make)(struct interface *interface, const struct tunnel *tunnel);
	/* Whether the one that is there can be set up for the tunnel. */
	bool (*fits)(const struct link *link, const struct tunnel *tunnel);
	/* Sets key and peer, or for IPIP the two addresses. */
	int (*configure)(struct interface *interface, const struct tunnel *tunnel, bool renew);
	/* Of an interface that has been moved to another namespace. NULL: whoever carries its
	 * packets sees it there too. */
	int (*tell_mtu)(struct interface *interface, uint32_t mtu);
	/* Whether a link of link_kind is this client's: 0, -ENOENT if not, or -errno. */
	int (*check_own)(struct interface *interface, const struct link *link);
	/* When the server has last shaken hands, ns since 1970; 0: never. NULL: there is no
	 * handshake. */
	int (*handshake)(struct interface *interface, uint64_t *ns);
};
