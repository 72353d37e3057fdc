/*
 * vprox<i> as the host's network sees it, whichever plane has made it: up, known by its alias, with
 * the gateway's address and a route to the block. Opening an endpoint and reconciling it are one
 * here: what is there is left alone, what is not is made.
 */
#pragma once

#include <stdbool.h>

struct link;
struct netlink;
struct plane_endpoint;

/* What an interface did not have and was given: any of them together. */
enum interface_part {
	INTERFACE_UP = 1 << 0,
	INTERFACE_ALIAS = 1 << 1, /* by which the next server recognises the endpoint */
	INTERFACE_ADDRESS = 1 << 2,
	INTERFACE_ROUTE = 1 << 3,
};

enum { INTERFACE_REASON_SIZE = 128 };

/*
 * Whether the interface that is there is this endpoint's: its alias names no other bind address,
 * and where it has addresses, one of them is the gateway's, as the endpoint's block has it. Further
 * addresses are whoever's gave it them. Without an alias or an address it was left half-made, or by
 * another server that sets no alias. Returns 0 or -errno; if it does not match, reason becomes why.
 */
int interface_matches(struct netlink *netlink, const struct plane_endpoint *endpoint,
	const struct link *link, bool *match, char reason[INTERFACE_REASON_SIZE]);

/*
 * Gives the interface what it lacks; one that is standby is down and has no route. It takes two
 * dumps of what the interface has, and no request where nothing is missing. Addresses and routes
 * that others have given it stay. *given becomes the parts that were made. Returns 0 or -errno;
 * *step tells then, in the words of a log line, what could not be done. netlink is of
 * NETLINK_ROUTE.
 */
int interface_complete(struct netlink *netlink, const struct plane_endpoint *endpoint,
	const struct link *link, unsigned int *given, const char **step);

/* Which of these parts the interface has not: as interface_complete(), but nothing is made. */
int interface_lacks(struct netlink *netlink, const struct plane_endpoint *endpoint,
	const struct link *link, unsigned int *lacks);

/* Logs which parts an interface that somebody had changed was given again; 0: nothing. */
void interface_report(const char *name, unsigned int given);
