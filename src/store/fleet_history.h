/*
 * How far back etcd's history goes. It keeps every version of every record until it is compacted;
 * where nobody has that done, the hosts of a fleet do: one of them at a time, who has put a record
 * that etcd removes by itself after a while, whatever becomes of that host.
 */
#pragma once

struct fleet;

/* Looks once in a while whether there is something to be compacted, and has it compacted if no
 * other host does. Returns 0, also where that fails, which is logged once, or -EPIPE. */
int fleet_compact(struct fleet *fleet);
