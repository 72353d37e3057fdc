/*
 * In a fleet an address that this host gets is claimed before it is served: the store says what was
 * promised at it, by whichever host had it. But having the address is enough: a store that does not
 * answer keeps nobody waiting for long.
 *
 * One that another host has claimed since is that host's, even where this one has it too: it is
 * claimed again when it comes anew, or when the other host serves it no more.
 */
#pragma once

#include <stdbool.h>

#include "base/ipv4.h"

struct claims;
struct clock;
struct store_link;

/* The link is the caller's. Returns 0 or -ENOMEM. */
int claims_new(struct store_link *link, const struct clock *clock, struct claims **claims);
/* NULL is fine. */
void claims_free(struct claims *claims);

/* One that the store has claimed at its start. Returns 0 or -ENOMEM. */
int claims_add(struct claims *claims, struct ipv4 bind);

/*
 * Asks the store, where it was not asked; is_ready: what was promised there as another host's is
 * known. Returns 0 if the address can be served now: the store has
 * answered, or does not, which is logged; -EINPROGRESS if it is being claimed; -EBUSY as long as it
 * is another host's; or another -errno.
 */
int claims_ask(struct claims *claims, struct ipv4 bind, bool is_ready);
/* Whether it was asked for, and not released: this host has it. */
bool claims_has(const struct claims *claims, struct ipv4 bind);
/* The store begins to tell, which may take a while. Returns whether it was asked: what is known of
 * this address from before is to be forgotten. */
bool claims_heard(struct claims *claims, struct ipv4 bind);
/* The store has told all. Returns whether this host still wants it. */
bool claims_answered(struct claims *claims, struct ipv4 bind);
/* The store has lost what it was asked: is asked again. */
void claims_lost(struct claims *claims);

/* Another host has claimed it since. Returns whether it was ours until now. */
bool claims_superseded(struct claims *claims, struct ipv4 bind);

/* This host has the address no more. One that was never asked for is fine. */
void claims_release(struct claims *claims, struct ipv4 bind);
