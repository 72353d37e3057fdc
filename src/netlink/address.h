/* IPv4 addresses of interfaces (rtnetlink(7), RTM_NEWADDR). */
#pragma once

#include <net/if.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ipv4.h"

struct netlink;
struct netlink_request;
struct nlmsghdr;

enum {
	ADDRESS_PROTOCOL_NONE = 0, /* as `ip address add` leaves it */
};

/* A lifetime without end. */
#define ADDRESS_FOREVER UINT32_MAX

struct address {
	unsigned int ifindex;
	struct ipv4 local;
	uint8_t prefix_length;
	uint8_t scope; /* RT_SCOPE_... */
	uint8_t protocol; /* IFA_PROTO: who added it; 0: unknown. Kept by Linux 5.18 and later */
	uint32_t flags; /* IFA_F_...; of a dump: IFA_F_PERMANENT without a lifetime */
	uint32_t valid_s; /* seconds left to live, or ADDRESS_FOREVER */
	uint32_t preferred_s; /* no longer than valid_s */
	char label[IF_NAMESIZE]; /* "": none is set, which makes it the interface's name */
};

/* Adds an address, or sets the lifetimes and protocol of one that is there. Returns 0 or -errno. */
int address_set(struct netlink *netlink, const struct address *address);
/* Adds one; -EEXIST if it is there. */
int address_add(struct netlink *netlink, const struct address *address);
/* By ifindex, local address and prefix length. -EADDRNOTAVAIL if it is not there. */
int address_delete(struct netlink *netlink, const struct address *address);

/*
 * All IPv4 addresses, or those of one interface (ifindex 0: of all). The array is the caller's to
 * free.
 */
int address_dump(
	struct netlink *netlink, unsigned int ifindex, struct address **addresses, size_t *n);

/*
 * The encoding by itself, for requests of several messages and for tests: type is RTM_NEWADDR or
 * RTM_DELADDR, flags are NLM_F_...; filter is a const unsigned int *, the ifindex, item a struct
 * address * (see netlink_decode_fn).
 */
void address_put(struct netlink_request *request, uint16_t type, uint16_t flags,
	const struct address *address);
int address_decode(const struct nlmsghdr *message, const void *filter, void *item);
