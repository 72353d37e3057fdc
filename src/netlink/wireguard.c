/*
 * The kernel's WireGuard interfaces as netlink messages. Runs in the broker, the client and `vprox
 * clean`. What holds a private key is wiped.
 */
#include "netlink/wireguard.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/time_types.h>
#include <linux/wireguard.h>

#include "base/array.h"
#include "netlink/attribute.h"
#include "netlink/genetlink.h"
#include "netlink/request.h"
#include "netlink/socket.h"

static const uint64_t ns_per_s = 1000000000;

enum {
	IPV4_BITS = 32,
};

static void begin_set(struct netlink_request *request, uint16_t family, unsigned int ifindex)
{
	genetlink_add(request, family, WG_CMD_SET_DEVICE, WG_GENL_VERSION);
	netlink_put_u32(request, WGDEVICE_A_IFINDEX, ifindex);
}

int wireguard_configure(struct netlink *netlink, uint16_t family, unsigned int ifindex,
	const struct key *private_key, uint16_t port)
{
	struct netlink_request request;
	int error;

	netlink_request_init(&request);
	begin_set(&request, family, ifindex);
	if (private_key)
		netlink_put(&request, WGDEVICE_A_PRIVATE_KEY, private_key->bytes, KEY_SIZE);
	netlink_put_u16(&request, WGDEVICE_A_LISTEN_PORT, port);
	error = netlink_execute(netlink, &request);
	explicit_bzero(&request, sizeof request);
	/* An error quotes the request where the kernel cannot leave that out. */
	netlink_wipe(netlink);
	return error;
}

static void put_allowed(struct netlink_request *request, struct prefix allowed)
{
	size_t list = netlink_nest_begin(request, WGPEER_A_ALLOWEDIPS);
	size_t entry = netlink_nest_begin(request, 0);

	netlink_put_u16(request, WGALLOWEDIP_A_FAMILY, AF_INET);
	netlink_put_ipv4(request, WGALLOWEDIP_A_IPADDR, allowed.address);
	netlink_put_u8(request, WGALLOWEDIP_A_CIDR_MASK, allowed.length);
	netlink_nest_end(request, entry);
	netlink_nest_end(request, list);
}

void wireguard_put_peer(struct netlink_request *request, uint16_t family, unsigned int ifindex,
	const struct key *key, struct prefix allowed, bool replace)
{
	size_t peers, peer;

	begin_set(request, family, ifindex);
	peers = netlink_nest_begin(request, WGDEVICE_A_PEERS);
	peer = netlink_nest_begin(request, 0);
	netlink_put(request, WGPEER_A_PUBLIC_KEY, key->bytes, KEY_SIZE);
	if (replace)
		netlink_put_u32(request, WGPEER_A_FLAGS, WGPEER_F_REPLACE_ALLOWEDIPS);
	put_allowed(request, allowed);
	netlink_nest_end(request, peer);
	netlink_nest_end(request, peers);
}

int wireguard_set_peer(struct netlink *netlink, uint16_t family, unsigned int ifindex,
	const struct key *key, struct prefix allowed, bool replace)
{
	struct netlink_request request;

	netlink_request_init(&request);
	wireguard_put_peer(&request, family, ifindex, key, allowed, replace);
	return netlink_execute(netlink, &request);
}

/* Switching persistent keepalives on sends one at once (drivers/net/wireguard/netlink.c,
 * set_peer()). */
static void put_place(struct netlink_request *request, const struct wireguard_place *place)
{
	const struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons(place->outer_port),
		.sin_addr.s_addr = ipv4_to_net(place->outer)};
	static const uint16_t intervals_s[] = {1, 0};

	for (size_t i = 0; i < sizeof intervals_s / sizeof *intervals_s; i++) {
		size_t peer = netlink_nest_begin(request, 0);

		netlink_put(request, WGPEER_A_PUBLIC_KEY, place->key.bytes, KEY_SIZE);
		netlink_put_u32(request, WGPEER_A_FLAGS, WGPEER_F_UPDATE_ONLY);
		netlink_put(request, WGPEER_A_ENDPOINT, &address, sizeof address);
		netlink_put_u16(request, WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, intervals_s[i]);
		netlink_nest_end(request, peer);
	}
}

void wireguard_put_places(struct netlink_request *request, uint16_t family, unsigned int ifindex,
	const struct wireguard_place *places, size_t n)
{
	size_t peers;

	begin_set(request, family, ifindex);
	peers = netlink_nest_begin(request, WGDEVICE_A_PEERS);
	for (size_t i = 0; i < n; i++)
		put_place(request, &places[i]);
	netlink_nest_end(request, peers);
}

int wireguard_restore_places(struct netlink *netlink, uint16_t family, unsigned int ifindex,
	const struct wireguard_place *places, size_t n)
{
	struct netlink_request request;

	netlink_request_init(&request);
	wireguard_put_places(&request, family, ifindex, places, n);
	return netlink_execute(netlink, &request);
}

void wireguard_put_removal(struct netlink_request *request, uint16_t family, unsigned int ifindex,
	const struct key *keys, size_t n)
{
	size_t peers;

	begin_set(request, family, ifindex);
	peers = netlink_nest_begin(request, WGDEVICE_A_PEERS);
	for (size_t i = 0; i < n; i++) {
		size_t peer = netlink_nest_begin(request, 0);

		netlink_put(request, WGPEER_A_PUBLIC_KEY, keys[i].bytes, KEY_SIZE);
		netlink_put_u32(request, WGPEER_A_FLAGS, WGPEER_F_REMOVE_ME);
		netlink_nest_end(request, peer);
	}
	netlink_nest_end(request, peers);
}

int wireguard_remove_peers(struct netlink *netlink, uint16_t family, unsigned int ifindex,
	const struct key *keys, size_t n)
{
	struct netlink_request request;

	if (n > WIREGUARD_REMOVAL_MAX)
		return -EINVAL;
	netlink_request_init(&request);
	wireguard_put_removal(&request, family, ifindex, keys, n);
	return netlink_execute(netlink, &request);
}

int wireguard_remove_all_peers(struct netlink *netlink, uint16_t family, unsigned int ifindex)
{
	struct netlink_request request;

	netlink_request_init(&request);
	begin_set(&request, family, ifindex);
	netlink_put_u32(&request, WGDEVICE_A_FLAGS, WGDEVICE_F_REPLACE_PEERS);
	return netlink_execute(netlink, &request);
}

int wireguard_set_mark(
	struct netlink *netlink, uint16_t family, unsigned int ifindex, uint32_t mark)
{
	struct netlink_request request;

	netlink_request_init(&request);
	begin_set(&request, family, ifindex);
	netlink_put_u32(&request, WGDEVICE_A_FWMARK, mark);
	return netlink_execute(netlink, &request);
}

int wireguard_set_client_peer(struct netlink *netlink, uint16_t family, unsigned int ifindex,
	const struct key *key, const struct wireguard_endpoint *endpoint, bool alone)
{
	static const struct prefix all_of_ipv4 = {0};
	const struct sockaddr_in outer = {.sin_family = AF_INET,
		.sin_port = htons(endpoint->port),
		.sin_addr.s_addr = ipv4_to_net(endpoint->address)};
	struct netlink_request request;
	size_t peers, peer;

	netlink_request_init(&request);
	begin_set(&request, family, ifindex);
	if (alone)
		netlink_put_u32(&request, WGDEVICE_A_FLAGS, WGDEVICE_F_REPLACE_PEERS);
	peers = netlink_nest_begin(&request, WGDEVICE_A_PEERS);
	peer = netlink_nest_begin(&request, 0);
	netlink_put(&request, WGPEER_A_PUBLIC_KEY, key->bytes, KEY_SIZE);
	netlink_put(&request, WGPEER_A_ENDPOINT, &outer, sizeof outer);
	netlink_put_u16(&request, WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, endpoint->keepalive_s);
	put_allowed(&request, all_of_ipv4);
	netlink_nest_end(&request, peer);
	netlink_nest_end(&request, peers);
	return netlink_execute(netlink, &request);
}

static int add_allowed(
	struct wireguard_device *device, struct wireguard_peer *peer, const struct nlattr *entry)
{
	const struct nlattr *table[WGALLOWEDIP_A_CIDR_MASK + 1];
	struct prefix allowed, *array;
	uint16_t family;

	attributes_of_nest(entry, table, sizeof table / sizeof *table);
	if (!attribute_u16(table[WGALLOWEDIP_A_FAMILY], &family) ||
		!attribute_ipv4(table[WGALLOWEDIP_A_IPADDR], &allowed.address) ||
		!attribute_u8(table[WGALLOWEDIP_A_CIDR_MASK], &allowed.length))
		return -EBADMSG;
	if (family != AF_INET) {
		peer->n_allowed_ipv6++;
		return 0;
	}
	if (allowed.length > IPV4_BITS)
		return -EBADMSG;
	array = array_grow(device->allowed, device->n_allowed, sizeof *array);
	if (!array)
		return -ENOMEM;
	device->allowed = array;
	device->allowed[device->n_allowed++] = allowed;
	peer->n_allowed++;
	return 0;
}

static void decode_outer(const struct nlattr *endpoint, struct wireguard_peer *peer)
{
	struct sockaddr_in address;

	if (attribute_bytes(endpoint, &address, sizeof address) && address.sin_family == AF_INET) {
		peer->outer = ipv4_from_net(address.sin_addr.s_addr);
		peer->outer_port = ntohs(address.sin_port);
	}
}

/* The peer of that key: the last one, if the part goes on with it, else a new one. */
static struct wireguard_peer *peer_of_key(struct wireguard_device *device, const struct key *key)
{
	struct wireguard_peer *peers;

	if (device->n_peers > 0 &&
		memcmp(&device->peers[device->n_peers - 1].key, key, sizeof *key) == 0)
		return &device->peers[device->n_peers - 1];
	peers = array_grow(device->peers, device->n_peers, sizeof *peers);
	if (!peers)
		return NULL;
	device->peers = peers;
	peers[device->n_peers] =
		(struct wireguard_peer){.key = *key, .first_allowed = device->n_allowed};
	return &peers[device->n_peers++];
}

static int decode_peer(const struct nlattr *nest, struct wireguard_device *device)
{
	const struct nlattr *table[WGPEER_A_ALLOWEDIPS + 1], *entry = NULL;
	struct wireguard_peer *peer;
	struct __kernel_timespec handshake;
	struct key key;
	int error = 0;

	attributes_of_nest(nest, table, sizeof table / sizeof *table);
	if (!attribute_bytes(table[WGPEER_A_PUBLIC_KEY], key.bytes, KEY_SIZE))
		return -EBADMSG;
	peer = peer_of_key(device, &key);
	if (!peer)
		return -ENOMEM;
	decode_outer(table[WGPEER_A_ENDPOINT], peer);
	attribute_u64(table[WGPEER_A_RX_BYTES], &peer->received);
	attribute_u64(table[WGPEER_A_TX_BYTES], &peer->sent);
	if (attribute_bytes(table[WGPEER_A_LAST_HANDSHAKE_TIME], &handshake, sizeof handshake))
		peer->handshake_ns =
			(uint64_t)handshake.tv_sec * ns_per_s + (uint64_t)handshake.tv_nsec;
	while (error == 0 && (entry = attribute_next(table[WGPEER_A_ALLOWEDIPS], entry)))
		error = add_allowed(device, peer, entry);
	return error;
}

int wireguard_decode(const struct nlmsghdr *message, struct wireguard_device *device)
{
	const struct nlattr *table[WGDEVICE_A_PEERS + 1], *peer = NULL;
	int error = 0;

	if (!message_header(message, sizeof(struct genlmsghdr)))
		return -EBADMSG;
	attributes_of_message(
		message, sizeof(struct genlmsghdr), table, sizeof table / sizeof *table);
	attribute_u32(table[WGDEVICE_A_IFINDEX], &device->ifindex);
	attribute_u16(table[WGDEVICE_A_LISTEN_PORT], &device->port);
	attribute_bytes(table[WGDEVICE_A_PRIVATE_KEY], device->private_key.bytes, KEY_SIZE);
	while (error == 0 && (peer = attribute_next(table[WGDEVICE_A_PEERS], peer)))
		error = decode_peer(peer, device);
	return error;
}

static int read_part(void *context, size_t number, const struct nlmsghdr *message)
{
	(void)number;
	return wireguard_decode(message, context);
}

static void put_get(struct netlink_request *request, uint16_t family, unsigned int ifindex)
{
	netlink_request_init(request);
	genetlink_add(request, family, WG_CMD_GET_DEVICE, WG_GENL_VERSION);
	netlink_put_u32(request, WGDEVICE_A_IFINDEX, ifindex);
}

int wireguard_get_begin(struct netlink *netlink, uint16_t family, unsigned int ifindex)
{
	struct netlink_request request;

	put_get(&request, family, ifindex);
	return netlink_dump_begin(netlink, &request);
}

int wireguard_get_next(struct netlink *netlink, struct wireguard_device *device)
{
	int result = netlink_dump_next(netlink, read_part, device);

	netlink_wipe(netlink); /* the first piece has the private key */
	return result;
}

void wireguard_keep_peers_from(struct wireguard_device *device, size_t first)
{
	const size_t n = device->n_peers - first;
	size_t first_allowed = n > 0 ? device->peers[first].first_allowed : device->n_allowed;

	if (first == 0)
		return;
	memmove(device->peers, device->peers + first, n * sizeof *device->peers);
	device->n_peers = n;
	for (size_t i = 0; i < n; i++)
		device->peers[i].first_allowed -= first_allowed;
	device->n_allowed -= first_allowed;
	memmove(device->allowed, device->allowed + first_allowed,
		device->n_allowed * sizeof *device->allowed);
}

int wireguard_get(struct netlink *netlink, uint16_t family, unsigned int ifindex,
	struct wireguard_device *device)
{
	struct netlink_request request;
	int error = -EINTR;

	put_get(&request, family, ifindex);
	*device = (struct wireguard_device){0};
	for (int i = 0; i < NETLINK_DUMP_TRIES && error == -EINTR; i++) {
		device->n_peers = 0;
		device->n_allowed = 0;
		error = netlink_dump(netlink, &request, read_part, device);
	}
	netlink_wipe(netlink);
	if (error < 0)
		wireguard_free(device);
	return error;
}

void wireguard_free(struct wireguard_device *device)
{
	free(device->peers);
	free(device->allowed);
	explicit_bzero(device, sizeof *device);
}
