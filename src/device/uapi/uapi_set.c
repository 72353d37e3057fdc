/* Carries out what the control socket's set operation asks for. Runs in the control thread. */
#include "device/uapi/uapi_set.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/hex.h"
#include "device/control.h"
#include "device/ipip/ipip.h"
#include "device/links.h"
#include "device/peers.h"
#include "device/sockets.h"
#include "device/uapi/uapi_value.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* A key, and what its value does. Returns 0 or a negative errno. */
struct setter {
	const char *key;
	int (*set)(struct uapi_set *set, const char *value);
};

/* --- The device --- */

static int set_private_key(struct uapi_set *set, const char *value)
{
	struct key key;
	struct wg_peer *self;
	int error = hex_parse_key(value, &key);

	if (error == 0)
		error = device_set_private_key(set->device, &key);
	key_wipe(&key);
	if (error < 0)
		return error;
	self = device_find_peer(set->device, &set->device->shared.wireguard.noise.public_key);
	if (self)
		device_remove_peer(set->device, &self->target);
	return 0;
}

static int set_listen_port(struct uapi_set *set, const char *value)
{
	unsigned long port;
	int error = uapi_parse_number(value, UINT16_MAX, &port);

	return error < 0 ? error : device_set_port(set->device, (uint16_t)port);
}

static int set_mark(struct uapi_set *set, const char *value)
{
	uint32_t mark;
	int error = uapi_parse_mark(value, &mark);

	return error < 0 ? error : device_set_mark(set->device, mark);
}

static int replace_peers(struct uapi_set *set, const char *value)
{
	int error = uapi_parse_true(value);

	if (error == 0)
		device_remove_peers(set->device, TARGET_WIREGUARD);
	return error;
}

static int replace_ipip_peers(struct uapi_set *set, const char *value)
{
	int error = uapi_parse_true(value);

	if (error == 0)
		device_remove_peers(set->device, TARGET_IPIP);
	return error;
}

static int set_ipip_local(struct uapi_set *set, const char *value)
{
	struct in_addr local;
	int error = uapi_parse_ipv4(value, &local);

	return error < 0 ? error : device_set_ipip_local(set->device, local);
}

static int set_mtu(struct uapi_set *set, const char *value)
{
	unsigned long mtu;
	int error = uapi_parse_number(value, UINT16_MAX, &mtu);

	if (error == 0 && mtu == 0)
		error = -EINVAL;
	if (error == 0)
		links_be_told_mtu(set->device, (uint32_t)mtu);
	return error;
}

/* Up to the year 2262, as others count ns too. */
static int set_timestamps_after(struct uapi_set *set, const char *value)
{
	unsigned long floor_ns;
	int error = uapi_parse_number(value, INT64_MAX, &floor_ns);

	if (error == 0)
		timestamps_raise(&set->device->shared.wireguard.timestamps, floor_ns,
			clock_now_ms(set->device->shared.wireguard.clock));
	return error;
}

static const struct setter device_keys[] = {
	{"private_key", set_private_key},
	{"listen_port", set_listen_port},
	{"fwmark", set_mark},
	{"replace_peers", replace_peers},
	{"ipip_local", set_ipip_local},
	{"replace_ipip_peers", replace_ipip_peers},
	{"timestamps_after", set_timestamps_after},
	{"mtu", set_mtu},
};

/* --- A WireGuard peer. What is to be passed over is checked all the same. --- */

static int begin_peer(struct uapi_set *set, const char *value)
{
	struct key key;
	int error = hex_parse_key(value, &key);

	if (error < 0)
		return error;
	set->section = UAPI_SECTION_PEER;
	set->created = false;
	set->peer = NULL;
	if (key_equal(&key, &set->device->shared.wireguard.noise.public_key))
		return 0; /* ourselves: passed over */
	set->peer = device_find_peer(set->device, &key);
	if (set->peer)
		return 0;
	set->created = true;
	return device_add_peer(set->device, &key, &set->peer);
}

static void remove_current(struct uapi_set *set)
{
	if (set->peer)
		device_remove_peer(set->device, &set->peer->target);
	set->peer = NULL;
}

static int remove_peer(struct uapi_set *set, const char *value)
{
	int error = uapi_parse_true(value);

	if (error == 0)
		remove_current(set);
	return error;
}

static int update_only(struct uapi_set *set, const char *value)
{
	int error = uapi_parse_true(value);

	if (error == 0 && set->created)
		remove_current(set);
	return error;
}

static int set_preshared(struct uapi_set *set, const char *value)
{
	struct key key;
	int error = hex_parse_key(value, &key);

	if (error == 0 && set->peer)
		error = control_set_preshared(set->peer, &key);
	key_wipe(&key);
	return error;
}

static int set_endpoint(struct uapi_set *set, const char *value)
{
	char interface[IF_NAMESIZE];
	struct udp_endpoint endpoint;
	int error = uapi_parse_endpoint(value, &endpoint, interface);

	if (error == 0 && *interface != '\0')
		error = links_find(set->device, interface, &endpoint.v6.sin6_scope_id);
	if (error == 0 && set->peer)
		peer_address_set(&set->peer->address, &endpoint);
	return error;
}

static int set_persistent(struct uapi_set *set, const char *value)
{
	unsigned long seconds;
	int error = uapi_parse_number(value, UINT16_MAX, &seconds);

	return error < 0 || !set->peer ? error
				       : control_set_persistent(&set->device->shared.wireguard,
						 set->peer, (uint16_t)seconds);
}

static int replace_allowed_ips(struct uapi_set *set, const char *value)
{
	int error = uapi_parse_true(value);

	if (error == 0 && set->peer)
		allowedips_remove_all(&set->device->shared.inner, &set->peer->target.inner);
	return error;
}

static int set_allowed_ip(struct uapi_set *set, const char *value)
{
	struct allowedips *table = &set->device->shared.inner;
	struct allowed_ip prefix;
	bool removes;
	int error = uapi_parse_allowed_ip(value, &prefix, &removes);

	if (error < 0 || !set->peer)
		return error;
	if (!removes)
		return allowedips_insert(table, prefix.family, prefix.address, prefix.length,
			&set->peer->target.inner);
	error = allowedips_remove(
		table, prefix.family, prefix.address, prefix.length, &set->peer->target.inner);
	return error == -ENOENT ? 0 : error;
}

static int check_version(struct uapi_set *set, const char *value)
{
	(void)set;
	return strcmp(value, "1") == 0 ? 0 : -EINVAL;
}

static const struct setter peer_keys[] = {
	{"remove", remove_peer},
	{"update_only", update_only},
	{"preshared_key", set_preshared},
	{"endpoint", set_endpoint},
	{"persistent_keepalive_interval", set_persistent},
	{"replace_allowed_ips", replace_allowed_ips},
	{"allowed_ip", set_allowed_ip},
	{"protocol_version", check_version},
};

/* --- An IPIP peer --- */

static int begin_ipip(struct uapi_set *set, const char *value)
{
	set->section = UAPI_SECTION_IPIP;
	set->peer = NULL;
	return uapi_parse_ipv4(value, &set->ipip_remote);
}

static int set_ipip_inner(struct uapi_set *set, const char *value)
{
	struct in_addr inner;
	int error = uapi_parse_ipv4(value, &inner);

	return error < 0 ? error : device_set_ipip_peer(set->device, set->ipip_remote, inner);
}

static int remove_ipip(struct uapi_set *set, const char *value)
{
	struct ipip_peer *peer;

	if (uapi_parse_true(value) < 0)
		return -EINVAL;
	peer = ipip_find_peer(&set->device->shared.ipip, set->ipip_remote);
	if (peer)
		device_remove_peer(set->device, &peer->target);
	return 0;
}

static const struct setter ipip_keys[] = {
	{"ipip_inner", set_ipip_inner},
	{"remove", remove_ipip},
};

static int set_by_key(struct uapi_set *set, const struct setter *setters, size_t n, const char *key,
	const char *value)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(key, setters[i].key) == 0)
			return setters[i].set(set, value);
	return -EINVAL;
}

int uapi_set_line(struct uapi_set *set, const char *key, const char *value)
{
	if (strcmp(key, "public_key") == 0)
		return begin_peer(set, value);
	if (strcmp(key, "ipip_peer") == 0)
		return begin_ipip(set, value);
	switch (set->section) {
	case UAPI_SECTION_PEER:
		return set_by_key(set, peer_keys, COUNT(peer_keys), key, value);
	case UAPI_SECTION_IPIP:
		return set_by_key(set, ipip_keys, COUNT(ipip_keys), key, value);
	default:
		return set_by_key(set, device_keys, COUNT(device_keys), key, value);
	}
}
