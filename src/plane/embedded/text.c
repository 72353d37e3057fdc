/*
 * The embedded plane's requests, written as text; nothing is sent here. Runs in the server's
 * broker.
 */
#include "plane/embedded/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/hex.h"

/* The lines that make one peer. Returns their length. */
static int write_peer(const struct plane_peer *peer, char *text)
{
	if (peer->kind == PEER_WIREGUARD)
		return sprintf(text, "public_key=%s\nreplace_allowed_ips=true\nallowed_ip=%s/32\n",
			hex_key(&peer->key).s, ipv4_text(peer->inner).s);
	return sprintf(text, "ipip_peer=%s\nipip_inner=%s\n", ipv4_text(peer->remote).s,
		ipv4_text(peer->inner).s);
}

void embedded_add_text(const struct plane_peer *peer, char request[UAPI_CLIENT_REQUEST_SIZE])
{
	embedded_add_many_text(peer, 1, request);
}

void embedded_add_many_text(const struct plane_peer *peers, size_t n, char *request)
{
	request += sprintf(request, "set=1\n");
	for (size_t i = 0; i < n; i++)
		request += write_peer(&peers[i], request);
	sprintf(request, "\n");
}

void embedded_check_text(const struct plane_peer *peer, char request[UAPI_CLIENT_REQUEST_SIZE])
{
	if (peer->kind == PEER_WIREGUARD)
		snprintf(request, UAPI_CLIENT_REQUEST_SIZE, "get_peer=%s\n\n",
			hex_key(&peer->key).s);
	else
		snprintf(request, UAPI_CLIENT_REQUEST_SIZE, "get_ipip_peer=%s\n\n",
			ipv4_text(peer->remote).s);
}

/* What switches keepalives on sends one, and for that shakes hands; they are not wanted to go on.
 */
void embedded_restore_text(
	const struct plane_peer *peers, const struct plane_usage *lasts, size_t n, char *request)
{
	request += sprintf(request, "set=1\n");
	for (size_t i = 0; i < n; i++) {
		if (peers[i].kind != PEER_WIREGUARD || lasts[i].outer_port == 0)
			continue;
		request += sprintf(request,
			"public_key=%s\nupdate_only=true\nendpoint=%s:%u\n"
			"persistent_keepalive_interval=1\npersistent_keepalive_interval=0\n",
			hex_key(&peers[i].key).s, ipv4_text(lasts[i].outer).s, lasts[i].outer_port);
	}
	sprintf(request, "\n");
}

void embedded_remove_text(const struct plane_peer *peers, size_t n, char *request)
{
	request += sprintf(request, "set=1\n");
	for (size_t i = 0; i < n; i++) {
		/* update_only: one that is gone must not be made, to be removed */
		if (peers[i].kind == PEER_WIREGUARD)
			request +=
				sprintf(request, "public_key=%s\nupdate_only=true\nremove=true\n",
					hex_key(&peers[i].key).s);
		else
			request += sprintf(request, "ipip_peer=%s\nremove=true\n",
				ipv4_text(peers[i].remote).s);
	}
	sprintf(request, "\n");
}

void embedded_serve_text(
	const struct plane_endpoint *endpoint, char request[UAPI_CLIENT_REQUEST_SIZE])
{
	snprintf(request, UAPI_CLIENT_REQUEST_SIZE,
		"set=1\ntimestamps_after=%" PRIu64 "\nipip_local=%s\n\n", endpoint->floor_ns,
		ipv4_text(endpoint->bind).s);
}

void embedded_configure_text(const struct plane_endpoint *endpoint, bool with_floor,
	char request[UAPI_CLIENT_REQUEST_SIZE])
{
	struct hex_text private_key = hex_key(&endpoint->private_key);
	char floor[UAPI_CLIENT_REQUEST_SIZE / 4] = "";

	if (with_floor)
		snprintf(floor, sizeof floor, "timestamps_after=%" PRIu64 "\n", endpoint->floor_ns);
	snprintf(request, UAPI_CLIENT_REQUEST_SIZE,
		"set=1\nprivate_key=%s\n%slisten_port=%u\n%s%s%s\n", private_key.s, floor,
		endpoint->port, endpoint->is_standby ? "" : "ipip_local=",
		endpoint->is_standby ? "" : ipv4_text(endpoint->bind).s,
		endpoint->is_standby ? "" : "\n");
	explicit_bzero(&private_key, sizeof private_key);
}
