/* What a server grants in answer to /connect and /connect-ipip: JSON, as docs/api.md has it. */
#pragma once

#include <stddef.h>

#include "base/resolvers.h"
#include "client/tunnel.h"

/*
 * Reads the address, and for WireGuard the key and port, into the tunnel; the rest of it is left as
 * it is. Returns 0 or -EBADMSG. tunnel_fault() checks whether the values make sense.
 */
int grant_parse(const char *body, size_t length, enum tunnel_kind kind, struct tunnel *tunnel);

/* Reads the name servers that the server announces; what is none is left out. Nothing announced
 * leaves the list empty. */
void grant_parse_resolvers(const char *body, size_t length, struct resolvers *resolvers);
