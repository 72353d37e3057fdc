/* By what clients know the server, and it knows them. */
#pragma once

#include "base/key.h"
#include "server/identity.h"

struct server_config;

struct credentials {
	struct key private_key; /* of WireGuard */
	struct identity identity; /* of TLS */
};

/* Loads both, or makes them where there are none: that of WireGuard as it was promised to clients,
 * if `promised` is not NULL, for after a reboot /run is empty. Says by which fingerprint clients
 * know the server, and logs what goes wrong. Returns 0 or -errno. */
int credentials_load(struct credentials *credentials, const struct server_config *config,
	const struct key *promised);
/* Wipes the key, closes and frees. */
void credentials_free(struct credentials *credentials);
