/*
 * Whether addresses have another holder since. A host that was thought dead, and has lost its
 * addresses, writes nothing about them, and learns it here. So does one that shares an address with
 * another host, and is not the one to serve it; it asks by a record whether the holder still does,
 * which a holder that lives removes.
 */
#pragma once

#include <stdbool.h>

struct fleet;
struct served;

/* Every few seconds; in between it does nothing. Tells the broker of addresses that are ours no
 * more. Returns 0 or -errno. */
int fleet_watch(struct fleet *fleet);

enum holder_answer {
	HOLDER_IS_ASKED, /* it has not answered yet */
	HOLDER_SERVES,
	HOLDER_HAS_LEFT, /* it has not answered for a while */
};

/* Of an address that another host has claimed, and that this host has all the same. To be called
 * again and again. Returns 0 or -errno. */
int fleet_ask_holder(struct fleet *fleet, struct served *served, enum holder_answer *answer);
