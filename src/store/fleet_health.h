/* What an operator should know of a fleet before something fails: whether a key can go, and whose
 * clock is wrong. */
#pragma once

struct fleet;

/* Judges by the view of the fleet, which was read just now: fills in fleet->state, and logs what
 * has changed. */
void fleet_health_judge(struct fleet *fleet);
