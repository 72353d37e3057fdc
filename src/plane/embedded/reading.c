/*
 * Reads the text in which a device tells of its peers, as it comes. Runs in the server's broker.
 */
#include "plane/embedded/reading.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "plane/embedded/device.h"
#include "uapi_client/stream.h"

#define NS_PER_S UINT64_C(1000000000)

enum {
	ANSWER_DROPS = 2, /* to the third question */
	N_ANSWERS,
};
static const char questions[] = "get=1\n\nget_ipip=1\n\nget_drops=1\n\n";

struct reading {
	struct plane_reading reading; /* first */
	struct embedded_device *device;
	struct uapi_client_stream stream;
	unsigned int n_answers; /* that are through */
	/* The peer whose lines are being read. */
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

/* The last line of an answer but for an empty one. */
static int read_errno(struct reading *r, const char *value)
{
	int error = finish(r);

	/* A device of an earlier version may not count drops. */
	if (error == 0 && atoi(value) != 0 && r->n_answers != ANSWER_DROPS)
		return -abs(atoi(value)); /* devices of earlier versions say it without the sign */
	r->n_answers++;
	return error;
}

static void read_drop(struct reading *r, const char *key, const char *value)
{
	enum device_drop drop = device_drop_named(key);

	if (drop < DEVICE_N_DROPS)
		r->device->drops[drop] = strtoull(value, NULL, 10);
}

static int read_line(struct reading *r, const char *key, char *value)
{
	int error = 0;

	if (strcmp(key, "errno") == 0)
		return read_errno(r, value);
	if (r->n_answers == ANSWER_DROPS) {
		read_drop(r, key, value);
		return 0;
	}
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

static int read_lines(struct reading *r)
{
	char *key, *value;
	int error = 0;

	while (error == 0 && r->n_answers < N_ANSWERS &&
		uapi_client_stream_line(&r->stream, &key, &value))
		error = read_line(r, key, value);
	return error;
}

static int fail(const struct reading *r, int error)
{
	return embedded_fail(embedded_plane_of(r->device), error, "read %s", r->device->name.s);
}

static int next(struct plane_reading *reading)
{
	struct reading *r = (struct reading *)reading;
	int error = uapi_client_stream_receive(&r->stream);

	if (error == 0)
		error = read_lines(r);
	if (error < 0)
		return fail(r, error);
	return error > 0 ? error : r->n_answers < N_ANSWERS;
}

static void end(struct plane_reading *reading)
{
	struct reading *r = (struct reading *)reading;

	uapi_client_stream_close(&r->stream);
	free(r);
}

int embedded_read(struct plane_device *device, plane_peer_fn *found, void *context,
	struct plane_reading **reading)
{
	struct reading *r = calloc(1, sizeof *r);
	int error;

	if (!r)
		return embedded_fail(embedded_of_plane(device->plane), -ENOMEM, "read peers");
	r->reading = (struct plane_reading){.next = next, .end = end};
	r->device = embedded_of_device(device);
	r->found = found;
	r->context = context;
	error = uapi_client_stream_open(&r->stream, r->device->name.s, questions);
	if (error < 0) {
		fail(r, error);
		end(&r->reading);
		return error;
	}
	r->reading.fd = r->stream.fd;
	*reading = &r->reading;
	return 0;
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

	return plane_dump(plane_device, report_found, &finding);
}
