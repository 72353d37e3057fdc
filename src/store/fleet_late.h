/*
 * An address that this host got, or had at its start, while etcd could not be asked: it is served
 * with what the copy has, and claimed when etcd is back. By then another host may have claimed it,
 * and serve it: it came there later. And etcd may have peers that are not in the copy.
 */
#pragma once

#include <stdbool.h>

struct fleet;
struct served;

/* Of one that is to be claimed, with a view that was just read. A host that has claimed it since is
 * asked whether it serves it, again at each call; if so the address is superseded. *may_claim: it
 * does not, or there is none. Returns 0, as etcd_ask(), or -EPIPE. */
int fleet_late_ask(struct fleet *fleet, struct served *served, bool *may_claim);
/* Whether one waits for such an answer: nothing of it is in etcd. */
bool fleet_late_is_asking(const struct fleet *fleet);
/* It is claimed: tells the broker all that is promised there. Returns as fleet_late_ask(). */
int fleet_late_tell(struct fleet *fleet, const struct served *served);
