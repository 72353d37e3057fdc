/* What an operator should know of a fleet before something fails: whether a key can go, and whose
 * clock is wrong. */
#pragma once

struct fleet;

/* Judges by the view of the fleet, which was read just now: fills in fleet->state, and logs what
 * has changed. */
void fleet_health_judge_keys(struct fleet *fleet);

/* Likewise by the clock of the member of etcd that answered last, and by the latest time that other
 * hosts have written: who is ahead of both begins handshakes with timestamps that no other host
 * can follow for as long. */
void fleet_health_judge_clock(struct fleet *fleet);
