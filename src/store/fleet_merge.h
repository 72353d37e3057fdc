/* Brings what etcd has of an address into the local copy. */
#pragma once

#include <stdbool.h>

#include "store/fleet_state.h"

/*
 * Reads the peers of an address that is ours now. keep: what has changed here since it was sent
 * holds; the rest is as etcd has it. Else all is as etcd has it. Records that do not open or are
 * older than the floor are ignored, and one line says so. Returns 0, or as etcd_ask() or
 * database_write().
 */
int fleet_merge(struct fleet *fleet, const struct served *served, bool keep);

/* What has changed, as orders; zeroed there is nothing. orders are the caller's to free. */
struct fleet_changes {
	struct storing_message *orders;
	size_t n;
	bool are_active; /* when peers were active has changed too */
};

/*
 * Brings into the copy what has changed of an address since it was followed up to there, or all
 * where it was not yet, and moves that on. is_quick: but not when peers were active, which only
 * says in which order they are sought. Nothing of it is to be sent. Returns as fleet_merge().
 */
int fleet_merge_followed(struct fleet *fleet, struct followed_address *followed, bool is_quick,
	struct fleet_changes *changes);
