/* Network interfaces (rtnetlink(7), RTM_NEWLINK). */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/ipv4.h"

struct netlink;
struct netlink_request;
struct nlmsghdr;

enum {
	LINK_KIND_SIZE = 16, /* longer ones are cut */
	LINK_ALIAS_SIZE = 32, /* likewise */
	LINK_MAC_SIZE = 6, /* bytes of an Ethernet address */
};

struct link {
	unsigned int ifindex;
	char name[IF_NAMESIZE];
	char kind[LINK_KIND_SIZE]; /* "wireguard", "ipip", ...; "" for hardware */
	uint16_t type; /* ARPHRD_... */
	uint32_t flags; /* IFF_... */
	uint32_t mtu; /* bytes */
	uint32_t group; /* 0: the default one */
	char alias[LINK_ALIAS_SIZE]; /* "": none */
	bool has_mac; /* it has an Ethernet address */
	uint8_t mac[LINK_MAC_SIZE];
	struct ipv4 local, remote; /* of kind ipip: the outer addresses */
	bool is_external; /* of kind ipip: these are beside each packet */
};

/* By name, an alternative one too. -ENODEV if there is none. */
int link_get(struct netlink *netlink, const char *name, struct link *link);
/* By its number. -ENODEV if there is none. */
int link_get_index(struct netlink *netlink, unsigned int ifindex, struct link *link);
/* All of them, or those of a kind (NULL: all). The array is the caller's to free. */
int link_dump(struct netlink *netlink, const char *kind, struct link **links, size_t *n);
/* -ENODEV if there is none. */
int link_delete(struct netlink *netlink, unsigned int ifindex);
/*
 * Deletes all links of a group, which must not be 0. -ENODEV if it has none; -EOPNOTSUPP, and none
 * is deleted, if one of them can't be.
 */
int link_delete_group(struct netlink *netlink, uint32_t group);

/* What to change of a link; zeroed: nothing. */
struct link_change {
	bool up;
	bool set_group;
	uint32_t group;
	const char *alias; /* NULL: as it is */
	uint32_t mtu; /* 0: as it is */
	uint32_t gso_max_size; /* bytes of a super-packet, of IPv4 too; 0: as it is */
	pid_t namespace_of; /* into the network namespace of this process; 0: stays */
};
int link_set(struct netlink *netlink, unsigned int ifindex, const struct link_change *change);

/*
 * The messages by themselves, for requests of several. A new link is down; -EEXIST if its name is
 * taken, or, of an ipip link, the pair of addresses.
 */
void link_put_get(struct netlink_request *request, const char *name);
void link_put_delete(struct netlink_request *request, unsigned int ifindex);
void link_put_set(
	struct netlink_request *request, unsigned int ifindex, const struct link_change *change);
void link_put_new(struct netlink_request *request, const char *name, const char *kind);
/* RFC 2003: `ip link add NAME type ipip local LOCAL remote REMOTE nopmtudisc ttl inherit`. */
void link_put_new_ipip(
	struct netlink_request *request, const char *name, struct ipv4 local, struct ipv4 remote);
/* `ip link add NAME type ipip external`: what no other ipip link takes comes out of it, with the
 * outer addresses beside each packet. A namespace has one at the most: -EEXIST
 * (net/ipv4/ip_tunnel.c, ip_tunnel_newlink()). */
void link_put_new_ipip_external(struct netlink_request *request, const char *name);
/* Reads one RTM_NEWLINK: as address_decode(). filter is the kind or NULL, item a struct link. */
int link_decode(const struct nlmsghdr *message, const void *filter, void *item);
/* A netlink_reply_fn for a request with link_put_get(): context is the struct link to fill. */
int link_read_reply(void *context, size_t number, const struct nlmsghdr *message);

/*
 * Whether the kernel has the kind, loading its module if need be; no link is made. Returns 0,
 * -EOPNOTSUPP if it has not, or another error, -EPERM among them.
 */
int link_probe_ipip(struct netlink *netlink);
