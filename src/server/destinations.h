/* What the peers of a name may reach: allow-to= of its token. The firewall is told before a peer
 * can send anything. */
#pragma once

#include "base/ipv4.h"

struct address_set;
struct client_name;
struct confining;
struct endpoint;
struct name_rules;

/* What a peer of this name that has this inner address reaches: a view of the tokens in force. */
struct confining destinations_of(
	const struct name_rules *rules, const struct client_name *name, struct ipv4 inner);

/*
 * Before a peer of this name is made at an inner address, or is given another name. Nothing is done
 * where nothing changes. Returns 0 or -errno, logged: then it must not be made.
 */
int destinations_confine(
	const struct endpoint *endpoint, const struct client_name *name, struct ipv4 inner);

/* The tokens are other ones: brings what has changed to all peers that are there. */
void destinations_enforce(const struct name_rules *rules);

/* These addresses were nobody's when their connections began to be purged. */
void destinations_forget(const struct name_rules *rules, const struct address_set *unused);
