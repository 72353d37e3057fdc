/* One try to claim one address, with a view of the fleet that was just read. */
#pragma once

#include <stdbool.h>

struct fleet;
struct served;

/*
 * is_joining: the broker has not taken the endpoint into use, so what the fleet has of it holds.
 * Returns 0, also where there is nothing to claim yet; -EAGAIN: somebody has changed what it rests
 * on; -EEXIST: it collides, which was told; -ENOKEY: the fleet's records are sealed under another
 * key; or as etcd_ask(), database_write() or fleet->tell().
 */
int fleet_claim_try(struct fleet *fleet, struct served *served, bool is_joining);

/* Of an address that is served already: only if no other host serves it since, and the broker is
 * told what is promised there. Likewise. */
int fleet_claim_try_late(struct fleet *fleet, struct served *served);
