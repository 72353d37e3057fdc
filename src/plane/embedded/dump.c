/*
 * Reads the text in which a device tells of its peers. Runs in the server's broker.
 */
#include "plane/embedded/dump.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hex.h"
#include "plane/embedded/device.h"
#include "uapi_client/ask.h"

#define NS_PER_S UINT64_C(1000000000)

/* A peer whose lines are being read. */
struct reading {
	struct plane_peer peer;
	struct plane_usage usage;
	bool any;
	unsigned int n_inner; /* IPv4 prefixes; only exactly one /32 is an inner address */
	plane_peer_fn *found;
	void *context;
};

/* Hands over the peer that was read. One without exactly one address has 0.0.0.0. */
static int finish(struct reading *r)
{
	int error;

	if (!r->any)
		return 0;
	if (r->n_inner != 1)
		r->peer.inner = (struct ipv4){0};
	error = r->found(r->context, &r->peer, &r->usage);
	r->any = false;
	return error;
}

static void begin(struct reading *r, enum peer_kind kind)
{
	r->peer = (struct plane_peer){.kind = kind};
	r->usage = (struct plane_usage){0};
	r->n_inner = 0;
	r->any = true;
}

static void read_allowed_ip(struct reading *r, char *value)
{
	char *slash = strchr(value, '/');

	r->n_inner++;
	if (!slash || strcmp(slash, "/32") != 0) {
		r->n_inner++; /* no host: not ours */
		return;
	}
	*slash = '\0';
	if (ipv4_parse(value, &r->peer.inner) < 0)
		r->n_inner++;
}

/* One of IPv6, in brackets, is nobody's who was told of an IPv4 address. */
static void read_endpoint(struct reading *r, char *value)
{
	char *colon = strchr(value, ':');

	if (!colon || *value == '[')
		return;
	*colon = '\0';
	if (ipv4_parse(value, &r->usage.outer) == 0)
		r->usage.outer_port = (uint16_t)strtoul(colon + 1, NULL, 10);
}

static int read_line(struct reading *r, const char *key, char *value)
{
	int error = 0;

	if (strcmp(key, "public_key") == 0) {
		error = finish(r);
		begin(r, PEER_WIREGUARD);
		return error < 0 ? error : hex_parse_key(value, &r->peer.key) == 0 ? 0 : -EPROTO;
	}
	if (strcmp(key, "ipip_peer") == 0) {
		error = finish(r);
		begin(r, PEER_IPIP);
		if (error == 0)
			error = ipv4_parse(value, &r->peer.remote);
		r->usage.outer = r->peer.remote;
		return error;
	}
	if (strcmp(key, "ipip_inner") == 0) {
		r->n_inner++;
		return ipv4_parse(value, &r->peer.inner);
	}
	if (strcmp(key, "allowed_ip") == 0)
		read_allowed_ip(r, value);
	else if (strcmp(key, "tx_bytes") == 0)
		r->usage.sent = strtoull(value, NULL, 10);
	else if (strcmp(key, "rx_bytes") == 0)
		r->usage.received = strtoull(value, NULL, 10);
	else if (strcmp(key, "last_handshake_time_sec") == 0)
		r->usage.handshake_ns += strtoull(value, NULL, 10) * NS_PER_S;
	else if (strcmp(key, "last_handshake_time_nsec") == 0)
		r->usage.handshake_ns += strtoull(value, NULL, 10);
	else if (strcmp(key, "endpoint") == 0)
		read_endpoint(r, value);
	return 0;
}

static int dump_one_kind(const char *name, const char *request, plane_peer_fn *found, void *context)
{
	struct reading reading = {.found = found, .context = context};
	auto_free char *answer = NULL;
	char *rest, *key, *value;
	int error = uapi_client_ask(name, request, &answer);
	size_t length = answer ? strlen(answer) : 0;

	rest = answer;
	while (error == 0 && uapi_client_next_line(&rest, &key, &value))
		error = read_line(&reading, key, value);
	if (answer)
		explicit_bzero(answer, length); /* its first line was a private key */
	return error == 0 ? finish(&reading) : error;
}

int embedded_dump(struct plane_device *plane_device, plane_peer_fn *found, void *context)
{
	struct embedded_device *device = embedded_of_device(plane_device);
	int error = dump_one_kind(device->name.s, "get=1\n\n", found, context);

	if (error == 0)
		error = dump_one_kind(device->name.s, "get_ipip=1\n\n", found, context);
	if (error < 0)
		embedded_fail(embedded_plane_of(device), error, "read %s", device->name.s);
	return error;
}

/* Who is told of what is found. */
struct finding {
	struct ipv4 local;
	plane_found_fn *found;
	void *context;
};

static int report_found(
	void *context, const struct plane_peer *peer, const struct plane_usage *usage)
{
	const struct finding *finding = context;
	struct plane_found found = {.peer = *peer};

	(void)usage;
	if (peer->kind == PEER_IPIP) {
		/* The device has one address for all of them, and routes by itself. */
		found.local = finding->local;
		found.routed = peer->inner;
	}
	return finding->found(finding->context, &found);
}

int embedded_find(struct plane_device *plane_device, plane_found_fn *found, void *context)
{
	struct finding finding = {embedded_of_device(plane_device)->endpoint.bind, found, context};

	return embedded_dump(plane_device, report_found, &finding);
}
