/*
 * WireGuard peers that ask again and again, and of which nothing is heard: a client whose clock
 * went back has its handshakes dropped as replays (WireGuard paper, 5.1), for as long as it is
 * behind. Its requests are authenticated, so the peer may be made anew, which forgets the latest
 * timestamp.
 */
#pragma once

#include <stdbool.h>

struct endpoint;
struct peer;

enum { SILENCE_MS = 30000 }; /* a client that works sends a keepalive every 25 s */

/*
 * To be called for each /connect of a peer that is there. Whether neither a handshake nor a byte
 * has come from it for SILENCE_MS, by a reading that is later than its last /connect, with this its
 * second one at least.
 */
bool silence_is_over(struct endpoint *endpoint, struct peer *peer);

/*
 * Takes the peer out of the device and puts it back, with its address and where it was last.
 * Returns 0 or what the plane does; it may be in the device or not then.
 */
int silence_end(struct endpoint *endpoint, struct peer *peer);
