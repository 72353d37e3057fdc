/*
 * The latest epoch of each address that this host has seen: its own, or one of another host. It is
 * in the copy, so that neither a restart nor an etcd that was put back to what it held before takes
 * it back: no epoch is claimed twice, and what is older than the copy takes nothing out of it.
 */
#pragma once

#include "store/fleet_view.h"
#include "store/record.h"

struct outbox;

/* What the copy has of an address is of this holder's epoch, or later. Returns 0 or -EIO. */
int fleet_epochs_see(struct outbox *outbox, struct ipv4 bind, const struct fleet_holder *holder);

/* The latest one; its host's name is empty. Zero: none was seen. */
struct fleet_holder fleet_epochs_latest(struct outbox *outbox, struct ipv4 bind);

/* Marks in a view what is older than what this host has seen. */
void fleet_epochs_judge(struct outbox *outbox, struct fleet_view *view);
