/* Addresses that cannot be claimed for what etcd has of them alone: they are tried again, and keep
 * no other from being claimed or written. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct fleet;
struct served;

/* Whether an error of a claim is about its address alone: its records are sealed under another key,
 * or somebody writes them at the same time. */
bool fleet_aside_is_of_one(int error);
/* Whether it is to be claimed at that time (ms of system_clock). */
bool fleet_aside_is_due(const struct served *served, uint64_t now_ms);
/* It could not be claimed, for such an error. */
void fleet_aside_put(const struct fleet *fleet, struct served *served, int error);
/* Whether this host holds any address, so that etcd can be written. */
bool fleet_aside_holds_any(const struct fleet *fleet);
/* Whether the copy has a change of one of these that etcd does not have. */
bool fleet_aside_is_behind(const struct fleet *fleet);
