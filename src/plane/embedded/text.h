/* Requests to a device about an endpoint and its peers, as text: device/uapi describes them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "plane/plane.h"
#include "uapi_client/ask.h"

void embedded_add_text(const struct plane_peer *peer, char request[UAPI_CLIENT_REQUEST_SIZE]);
void embedded_check_text(const struct plane_peer *peer, char request[UAPI_CLIENT_REQUEST_SIZE]);
/* In these three request has UAPI_CLIENT_REQUEST_SIZE bytes for each peer, and as many more. */
void embedded_add_many_text(const struct plane_peer *peers, size_t n, char *request);
/* Where the peers were last, and handshakes with them. */
void embedded_restore_text(
	const struct plane_peer *peers, const struct plane_usage *lasts, size_t n, char *request);
void embedded_remove_text(const struct plane_peer *peers, size_t n, char *request);
/* What the device of an endpoint lacks that was standby: the outer address of IPIP, which the host
 * did not have, and the floor of handshakes. */
void embedded_serve_text(
	const struct plane_endpoint *endpoint, char request[UAPI_CLIENT_REQUEST_SIZE]);
/* Holds the private key: to be wiped. What the endpoint's floor is, only with_floor. Of a standby
 * without the outer address of IPIP. */
void embedded_configure_text(const struct plane_endpoint *endpoint, bool with_floor,
	char request[UAPI_CLIENT_REQUEST_SIZE]);
