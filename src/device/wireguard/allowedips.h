/*
 * Cryptokey routing (paper, 2): from an inner address to the peer that has the longest prefix of
 * it. IPv4 and IPv6, any number of prefixes. Workers look up without a lock (allowedips_lookup.h);
 * the control thread changes.
 *
 * A tree bitmap (Eatherton, Varghese and Dittia 2004) of six bits a step, with paths that do not
 * branch left out: at most 6 steps for IPv4, and no more than the prefixes differ in. Nodes are
 * replaced, never changed, but for single pointers; what falls out is retired to the epoch.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <netinet/in.h>

#include "base/epoch.h"

struct allowedips_entry;

/* Lies inside a peer: all its prefixes. Zeroed at first. */
struct allowedips_owner {
	struct allowedips_entry *first;
};

struct allowedips {
	_Atomic uintptr_t root4, root6;
	size_t count; /* of prefixes */
	struct epoch *epoch;
};

void allowedips_init(struct allowedips *table, struct epoch *epoch);
/* Frees all at once: no reader is left. The owners are as zeroed. */
void allowedips_free(struct allowedips *table);

/* By the control thread. address is 4 or 16 bytes, network byte order; host bits are masked off. */

/* Gives the prefix to this owner, and takes it from whoever had it. Returns 0, -ENOMEM (nothing
 * has changed) or -EINVAL (family or length). */
int allowedips_insert(struct allowedips *table, int family, const void *address, uint8_t length,
	struct allowedips_owner *owner);
/* Only if it is this owner's. Returns 0, -ENOENT or -EINVAL. */
int allowedips_remove(struct allowedips *table, int family, const void *address, uint8_t length,
	struct allowedips_owner *owner);
/* All of an owner's. Lookups that have begun may still return it until the epoch has passed. */
void allowedips_remove_all(struct allowedips *table, struct allowedips_owner *owner);

struct allowed_ip {
	int family; /* AF_INET or AF_INET6 */
	uint8_t length;
	uint8_t address[16]; /* network byte order; 4 or 16 bytes of it */
};
/* Walks an owner's prefixes, from entry = NULL until it returns NULL; nothing may change
 * meanwhile. */
const struct allowedips_entry *allowedips_next(const struct allowedips_owner *owner,
	const struct allowedips_entry *entry, struct allowed_ip *prefix);
