/*
 * Interfaces of a vprox client that runs on this host, which may have a server's names: vprox0 is a
 * client's default as well. A server leaves them alone.
 */
#pragma once

#include <stdbool.h>

#include "base/key.h"

struct link;

/* What the alias of a client's interface begins with. */
#define CLIENT_ALIAS "vprox-client"
/* With the interface's name behind it: where a client keeps its private key, `vprox connect` as
 * well as the Go client, which sets no alias. */
#define CLIENT_KEY_PREFIX "/run/vprox/client-key-"

bool client_link_has_alias(const struct link *link);

/* The key that a client keeps for an interface of that name. False if there is none. */
bool client_link_key(const char *name, struct key *key);
