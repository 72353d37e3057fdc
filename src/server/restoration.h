/* Keeping what was promised before the server's start: see docs/architecture.md, "The life of a
 * peer". */
#pragma once

struct endpoint;
struct promised;

/*
 * After an endpoint was opened: makes every peer that was promised and is not there, with its
 * address, and has the device find those that use WireGuard; and puts the addresses freed lately
 * behind those that were never used. What is there and was not promised is promised now; where both
 * disagree, what is there holds. Logs. What a plane refuses is tried again by nobody: its client
 * asks. What a device that was lost, or did not answer in time, was not given is owed.
 */
void endpoint_keep_promises(struct endpoint *endpoint, const struct promised *promised);
/* Likewise, of one that is served already: peers are made in batches, beside requests. */
void endpoint_keep_late_promises(struct endpoint *endpoint, const struct promised *promised);
