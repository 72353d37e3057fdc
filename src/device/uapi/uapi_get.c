/* What the control socket tells: the configuration, peers and counters. Runs in the control thread.
 */
#include "device/uapi/uapi_get.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/device_drops.h"
#include "base/hex.h"
#include "device/ipip/fast_path.h"
#include "device/peers.h"

#define NS_PER_S UINT64_C(1000000000)

enum {
	/* What one piece of an answer costs the control thread: some 0.2 ms. */
	WRITTEN_AT_ONCE = 64,
	VISITED_AT_ONCE = 4096,
};

static unsigned long long read_counter(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/* A line of a key that nobody else may know. */
static void write_secret(struct secret_text *out, const char *name, const struct key *key)
{
	struct hex_text text = hex_key(key);

	secret_text_append(out, "%s=%s\n", name, text.s);
	explicit_bzero(&text, sizeof text);
}

static void write_endpoint(struct secret_text *out, const struct udp_endpoint *endpoint)
{
	char text[INET6_ADDRSTRLEN];

	if (endpoint->family == AF_INET) {
		inet_ntop(AF_INET, &endpoint->v4.sin_addr, text, sizeof text);
		secret_text_append(out, "endpoint=%s:%u\n", text, ntohs(endpoint->v4.sin_port));
	} else if (endpoint->family == AF_INET6) {
		inet_ntop(AF_INET6, &endpoint->v6.sin6_addr, text, sizeof text);
		secret_text_append(out, "endpoint=[%s", text);
		if (endpoint->v6.sin6_scope_id)
			secret_text_append(out, "%%%u", endpoint->v6.sin6_scope_id);
		secret_text_append(out, "]:%u\n", ntohs(endpoint->v6.sin6_port));
	}
}

static void write_allowed_ips(struct secret_text *out, const struct allowedips_owner *owner)
{
	const struct allowedips_entry *entry = NULL;
	struct allowed_ip prefix;
	char text[INET6_ADDRSTRLEN];

	while ((entry = allowedips_next(owner, entry, &prefix))) {
		inet_ntop(prefix.family, prefix.address, text, sizeof text);
		secret_text_append(out, "allowed_ip=%s/%u\n", text, prefix.length);
	}
}

static void write_peer(struct secret_text *out, const struct wg_peer *peer)
{
	static const struct key no_key;
	const struct key *preshared = peer->remote.preshared ? peer->remote.preshared : &no_key;
	unsigned long long handshake = read_counter(&peer->handshake_ns);
	struct udp_endpoint endpoint;

	peer_address_get(&peer->address, &endpoint);
	secret_text_append(out, "public_key=%s\n", hex_key(&peer->remote.public_key).s);
	write_secret(out, "preshared_key", preshared);
	secret_text_append(out, "protocol_version=1\n");
	write_endpoint(out, &endpoint);
	secret_text_append(out, "last_handshake_time_sec=%llu\n", handshake / NS_PER_S);
	secret_text_append(out, "last_handshake_time_nsec=%llu\n", handshake % NS_PER_S);
	secret_text_append(out, "tx_bytes=%llu\n", read_counter(&peer->target.sent));
	secret_text_append(out, "rx_bytes=%llu\n", read_counter(&peer->target.received));
	secret_text_append(out, "persistent_keepalive_interval=%u\n", peer->persistent_s);
	write_allowed_ips(out, &peer->target.inner);
}

void uapi_get(const struct device *device, struct secret_text *out)
{
	if (!key_is_zero(&device->private_key))
		write_secret(out, "private_key", &device->private_key);
	secret_text_append(out, "listen_port=%u\n", device->port);
	if (device->mark)
		secret_text_append(out, "fwmark=%u\n", device->mark);
}

static void write_ipip_peer(struct secret_text *out, const struct device *device,
	const struct ipip_peer *peer, uint64_t now)
{
	struct ipip_usage usage = fast_path_usage(&device->fast_path, peer);
	char address[INET_ADDRSTRLEN];

	secret_text_append(
		out, "ipip_peer=%s\n", inet_ntop(AF_INET, &peer->remote, address, sizeof address));
	secret_text_append(
		out, "ipip_inner=%s\n", inet_ntop(AF_INET, &peer->source, address, sizeof address));
	secret_text_append(
		out, "tx_bytes=%" PRIu64 "\nrx_bytes=%" PRIu64 "\n", usage.sent, usage.received);
	if (usage.active_ms)
		secret_text_append(out, "idle_ms=%" PRIu64 "\n",
			now > usage.active_ms ? now - usage.active_ms : 0);
}

void uapi_get_ipip(const struct device *device, struct secret_text *out)
{
	char address[INET_ADDRSTRLEN];

	if (device->shared.ipip.raw >= 0)
		secret_text_append(out, "ipip_local=%s\n",
			inet_ntop(AF_INET, &device->ipip_local, address, sizeof address));
}

bool uapi_get_peers(const struct device *device, enum target_kind kind, struct peer_cursor *cursor,
	struct secret_text *out)
{
	const uint64_t now = clock_now_ms(&boot_clock);
	struct target *t = NULL;
	int n_written = 0;

	for (int n = 0; n < VISITED_AT_ONCE && n_written < WRITTEN_AT_ONCE &&
			(t = peer_cursor_next(cursor));
		n++) {
		if (t->kind != kind)
			continue;
		if (kind == TARGET_WIREGUARD)
			write_peer(out, wg_peer_of(t));
		else
			write_ipip_peer(out, device, ipip_peer_of(t), now);
		n_written++;
	}
	return t != NULL;
}

void uapi_get_peer(const struct wg_peer *peer, struct secret_text *out)
{
	write_peer(out, peer);
}

void uapi_get_ipip_peer(
	const struct device *device, const struct ipip_peer *peer, struct secret_text *out)
{
	write_ipip_peer(out, device, peer, clock_now_ms(&boot_clock));
}

void uapi_get_timestamp(const struct device *device, struct secret_text *out)
{
	const struct wireguard *wg = &device->shared.wireguard;

	secret_text_append(out, "timestamp=%" PRIu64 "\n",
		timestamps_look(&wg->timestamps, wg->wall_ns(), clock_now_ms(wg->clock)));
	if (wg->timestamps.latest_ns > 0)
		secret_text_append(out, "latest=%" PRIu64 "\n", wg->timestamps.latest_ns);
}

void uapi_get_drops(struct device *device, struct secret_text *out)
{
	const struct drops *drops = &device->shared.drops;
	const struct wireguard_drops *handshakes = &device->shared.wireguard.dropped;
	const struct {
		const _Atomic uint64_t *counter;
		uint64_t more; /* of handshakes, for the same reason */
	} rows[] = {
		[DEVICE_DROP_MALFORMED] = {&drops->malformed, handshakes->malformed},
		[DEVICE_DROP_NO_TARGET] = {&drops->no_target, 0},
		[DEVICE_DROP_NO_ENDPOINT] = {&drops->no_endpoint, 0},
		[DEVICE_DROP_NO_SESSION] = {&drops->no_session, 0},
		[DEVICE_DROP_FORGED] = {&drops->forged, handshakes->forged},
		[DEVICE_DROP_REPLAYED] = {&drops->replayed, handshakes->replayed},
		[DEVICE_DROP_SPOOFED] = {&drops->spoofed, 0},
		[DEVICE_DROP_CONGESTED] = {&drops->congested, 0},
		[DEVICE_DROP_LOOPED] = {&drops->looped, 0},
		[DEVICE_DROP_UNKNOWN_SOURCE] = {&drops->unknown_source, 0},
		[DEVICE_DROP_HANDSHAKES] = {&drops->handshakes, 0},
		[DEVICE_DROP_UNSENT] = {&drops->unsent, 0},
		[DEVICE_DROP_UNKNOWN] = {NULL, handshakes->unknown},
		[DEVICE_DROP_LIMITED] = {NULL, handshakes->limited},
		[DEVICE_DROP_COOKIES] = {NULL, handshakes->cookies},
	};

	_Static_assert(sizeof rows / sizeof *rows == DEVICE_N_DROPS, "one is missing");
	for (size_t i = 0; i < DEVICE_N_DROPS; i++)
		secret_text_append(out, "%s=%llu\n", device_drop_names[i],
			(rows[i].counter ? read_counter(rows[i].counter) : 0) + rows[i].more);
}
