/* Carries out what the control socket's set operation asks for. Runs in the control thread. */
#include "device/uapi/uapi_set.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "device/control.h"
#include "device/ipip/ipip.h"
#include "device/peers.h"
#include "device/sockets.h"

static int parse_number(const char *text, unsigned long max, unsigned long *number)
{
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	/* fwmark is written in hex by some, with 0x */
	*number = strtoul(text, &end, strncmp(text, "0x", 2) == 0 ? 16 : 10);
	return errno != 0 || *end != '\0' || *number > max ? -EINVAL : 0;
}

static int parse_true(const char *value)
{
	return strcmp(value, "true") == 0 ? 0 : -EINVAL;
}

static int parse_port(const char *text, in_port_t *port)
{
	unsigned long number;
	int error = parse_number(text, UINT16_MAX, &number);

	*port = htons((uint16_t)(error == 0 ? number : 0));
	return error == 0 && number == 0 ? -EINVAL : error;
}

/* "192.0.2.1:51820", "[2001:db8::1]:51820", "[fe80::1%2]:51820" */
static int parse_endpoint(const char *value, struct udp_endpoint *endpoint)
{
	char text[INET6_ADDRSTRLEN + sizeof "%4294967295"];
	const char *colon = strrchr(value, ':');
	size_t length = colon ? (size_t)(colon - value) : 0;
	unsigned long scope = 0;
	char *percent;

	memset(endpoint, 0, sizeof *endpoint);
	if (length == 0 || length >= sizeof text)
		return -EINVAL;
	memcpy(text, value, length);
	text[length] = '\0';
	if (*text != '[') {
		endpoint->v4.sin_family = AF_INET;
		return inet_pton(AF_INET, text, &endpoint->v4.sin_addr) == 1
			       ? parse_port(colon + 1, &endpoint->v4.sin_port)
			       : -EINVAL;
	}
	if (text[length - 1] != ']')
		return -EINVAL;
	text[length - 1] = '\0';
	percent = strchr(text, '%');
	if (percent) {
		*percent++ = '\0';
		if (parse_number(percent, UINT32_MAX, &scope) < 0)
			return -EINVAL;
	}
	endpoint->v6.sin6_family = AF_INET6;
	endpoint->v6.sin6_scope_id = (uint32_t)scope;
	return inet_pton(AF_INET6, text + 1, &endpoint->v6.sin6_addr) == 1
		       ? parse_port(colon + 1, &endpoint->v6.sin6_port)
		       : -EINVAL;
}

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

static int begin_ipip(struct uapi_set *set, const char *value)
{
	set->section = UAPI_SECTION_IPIP;
	set->peer = NULL;
	return inet_pton(AF_INET, value, &set->ipip_remote) == 1 ? 0 : -EINVAL;
}

static int set_allowed_ip(struct uapi_set *set, const char *value)
{
	struct allowedips *table = &set->device->shared.inner;
	char text[INET6_ADDRSTRLEN];
	const char *slash = strchr(value, '/');
	bool removes = *value == '-';
	unsigned long length;
	size_t n;
	uint8_t address[sizeof(struct in6_addr)];
	int family;

	if (*value == '-' || *value == '+')
		value++;
	n = slash ? (size_t)(slash - value) : 0;
	if (n == 0 || n >= sizeof text || parse_number(slash + 1, UINT8_MAX, &length) < 0)
		return -EINVAL;
	memcpy(text, value, n);
	text[n] = '\0';
	family = strchr(text, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(family, text, address) != 1)
		return -EINVAL;
	if (!removes)
		return allowedips_insert(
			table, family, address, (uint8_t)length, &set->peer->target.inner);
	n = (size_t)-allowedips_remove(
		table, family, address, (uint8_t)length, &set->peer->target.inner);
	return n == EINVAL ? -EINVAL : 0;
}

static int set_preshared(struct uapi_set *set, const char *value)
{
	struct key key;
	int error = hex_parse_key(value, &key);

	if (error == 0)
		error = control_set_preshared(set->peer, &key);
	key_wipe(&key);
	return error;
}

static int set_endpoint(struct uapi_set *set, const char *value)
{
	struct udp_endpoint endpoint;
	int error = parse_endpoint(value, &endpoint);

	if (error == 0)
		peer_address_set(&set->peer->address, &endpoint);
	return error;
}

static int set_persistent(struct uapi_set *set, const char *value)
{
	unsigned long seconds = 0;
	int error = parse_number(value, UINT16_MAX, &seconds);

	return error < 0 ? error
			 : control_set_persistent(
				   &set->device->shared.wireguard, set->peer, (uint16_t)seconds);
}

static int remove_peer(struct uapi_set *set)
{
	device_remove_peer(set->device, &set->peer->target);
	set->peer = NULL;
	return 0;
}

/* Keys of the peer that the section is about. */
static int peer_line(struct uapi_set *set, const char *key, const char *value)
{
	struct wg_peer *peer = set->peer;

	if (!peer)
		return 0;
	if (strcmp(key, "remove") == 0)
		return parse_true(value) < 0 ? -EINVAL : remove_peer(set);
	if (strcmp(key, "update_only") == 0)
		return parse_true(value) < 0 ? -EINVAL : set->created ? remove_peer(set) : 0;
	if (strcmp(key, "preshared_key") == 0)
		return set_preshared(set, value);
	if (strcmp(key, "endpoint") == 0)
		return set_endpoint(set, value);
	if (strcmp(key, "persistent_keepalive_interval") == 0)
		return set_persistent(set, value);
	if (strcmp(key, "replace_allowed_ips") == 0) {
		if (parse_true(value) < 0)
			return -EINVAL;
		allowedips_remove_all(&set->device->shared.inner, &peer->target.inner);
		return 0;
	}
	if (strcmp(key, "allowed_ip") == 0)
		return set_allowed_ip(set, value);
	if (strcmp(key, "protocol_version") == 0)
		return strcmp(value, "1") == 0 ? 0 : -EINVAL;
	return -EINVAL;
}

static int ipip_line(struct uapi_set *set, const char *key, const char *value)
{
	struct in_addr inner;
	struct ipip_peer *peer;

	if (strcmp(key, "ipip_inner") == 0)
		return inet_pton(AF_INET, value, &inner) == 1
			       ? device_set_ipip_peer(set->device, set->ipip_remote, inner)
			       : -EINVAL;
	if (strcmp(key, "remove") != 0 || parse_true(value) < 0)
		return -EINVAL;
	peer = ipip_find_peer(&set->device->shared.ipip, set->ipip_remote);
	if (peer)
		device_remove_peer(set->device, &peer->target);
	return 0;
}

static int device_line(struct uapi_set *set, const char *key, const char *value)
{
	struct in_addr local;
	unsigned long number = 0;

	if (strcmp(key, "private_key") == 0)
		return set_private_key(set, value);
	if (strcmp(key, "listen_port") == 0)
		return parse_number(value, UINT16_MAX, &number) < 0
			       ? -EINVAL
			       : device_set_port(set->device, (uint16_t)number);
	if (strcmp(key, "fwmark") == 0) {
		if (*value != '\0' && parse_number(value, UINT32_MAX, &number) < 0)
			return -EINVAL;
		return device_set_mark(set->device, (uint32_t)number);
	}
	if (strcmp(key, "replace_peers") == 0 && parse_true(value) == 0) {
		device_remove_peers(set->device, TARGET_WIREGUARD);
		return 0;
	}
	if (strcmp(key, "replace_ipip_peers") == 0 && parse_true(value) == 0) {
		device_remove_peers(set->device, TARGET_IPIP);
		return 0;
	}
	if (strcmp(key, "ipip_local") == 0)
		return inet_pton(AF_INET, value, &local) == 1
			       ? device_set_ipip_local(set->device, local)
			       : -EINVAL;
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
		return peer_line(set, key, value);
	case UAPI_SECTION_IPIP:
		return ipip_line(set, key, value);
	default:
		return device_line(set, key, value);
	}
}
