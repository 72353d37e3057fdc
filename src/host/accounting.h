/* The kernel's settings by which it keeps how much a tracked connection has moved and when it
 * began, and tells of its end. They stay when the server stops. */
#pragma once

#include <stdbool.h>

struct accounting {
	bool was_changed; /* by the last call that looked */
	bool has_failed; /* which was said */
};

/*
 * Switches them on for all connections: net.netfilter.nf_conntrack_acct, _timestamp and _events, of
 * this network namespace. They are about connections that begin from then on. To be called again
 * every few seconds (`sysctl --system` and others set them back). Logs what it changes, or once
 * that it cannot.
 */
void accounting_switch_on(struct accounting *accounting);
