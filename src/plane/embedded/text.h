/* Requests to a device, as text: uapi.h of the device describes them. */
#pragma once

#include <stddef.h>

#include "plane/plane.h"

enum { EMBEDDED_REQUEST_SIZE = 512 }; /* of one about one peer */

/* A key as it is written there. */
struct embedded_hex {
	char s[2 * KEY_SIZE + 1];
};
struct embedded_hex embedded_hex(const struct key *key);

void embedded_add_text(const struct plane_peer *peer, char request[EMBEDDED_REQUEST_SIZE]);
void embedded_check_text(const struct plane_peer *peer, char request[EMBEDDED_REQUEST_SIZE]);
void embedded_seek_text(const struct plane_peer *peer, const struct plane_usage *last,
	char request[EMBEDDED_REQUEST_SIZE]);
/* request has EMBEDDED_REQUEST_SIZE bytes for each peer, and as many more. */
void embedded_remove_text(const struct plane_peer *peers, size_t n, char *request);
/* Holds the private key. */
void embedded_configure_text(
	const struct plane_endpoint *endpoint, char request[EMBEDDED_REQUEST_SIZE]);
