/*
 * Notices that this host's other firewalls drop what tunnels send. Rules with a condition are left
 * to those who have written them (ruleset_place.h), and may meet tunnels without anybody having
 * meant it: then these are up and carry nothing. Whether it is so the packets tell: our table
 * counts those that begin a connection where it lets them pass, and where they leave the host.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* What the table "ip vprox" has counted of connections' first packets out of tunnels. */
struct forward_counts {
	uint64_t forwarded; /* that were to leave the host */
	uint64_t refused; /* of these, and some others, by the limits of a client */
	uint64_t leaving; /* that other tables have let pass too */
};

struct forward_watch {
	struct forward_counts last;
	uint64_t n_lost; /* since one has left */
	unsigned int n_checks; /* that have seen some lost, since then */
	bool is_reported;
};

/* To be called every few seconds, behind what opens other firewalls. Logs it once when nothing gets
 * through, with the rules that may be the reason, and when something does again. legacy: what
 * iptables-legacy-save prints; NULL: it is not in use, or not known. */
void forward_watch_check(struct forward_watch *watch, const char *legacy);

/* The same, of counts that were read already. Returns whether it is to be logged, either way. */
bool forward_watch_update(struct forward_watch *watch, const struct forward_counts *counts);
