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
