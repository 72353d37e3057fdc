/* What follows from a grant, and whether it may be used. Runs in the client and its request
 * process.
 */
#include "client/tunnel.h"

#include <stddef.h>

enum {
	LARGEST_BLOCK = 8, /* 10.0.0.0/8 */
	SMALLEST_BLOCK = 30, /* has room for two */
	LOOPBACK = 127, /* first octets */
	MULTICAST = 224,
	RESERVED = 240, /* in use inside */
};

struct prefix tunnel_block(const struct tunnel *tunnel)
{
	return (struct prefix){{tunnel->inner.value & prefix_mask(tunnel->length)}, tunnel->length};
}

struct ipv4 tunnel_gateway(const struct tunnel *tunnel)
{
	return (struct ipv4){tunnel_block(tunnel).address.value + 1};
}

const char *tunnel_fault(const struct tunnel *tunnel, enum tunnel_kind kind)
{
	struct prefix block;
	uint32_t octet = tunnel->inner.value >> 24;

	if (tunnel->length < LARGEST_BLOCK || tunnel->length > SMALLEST_BLOCK)
		return "the block of the address is too large or too small";
	block = tunnel_block(tunnel);
	if (octet == 0 || octet == LOOPBACK || (octet >= MULTICAST && octet < RESERVED))
		return "the address cannot be an interface's";
	if (ipv4_equal(tunnel->inner, block.address) ||
		ipv4_equal(tunnel->inner, tunnel_gateway(tunnel)) ||
		ipv4_equal(tunnel->inner, prefix_last(block)))
		return "the address cannot be a client's";
	if (prefix_contains(block, tunnel->server) || prefix_contains(block, tunnel->local))
		return "the block of the address contains the tunnel's own end";
	if (kind == TUNNEL_WIREGUARD && (tunnel->port == 0 || key_is_zero(&tunnel->server_key)))
		return "there is no port or no key";
	return NULL;
}

bool tunnel_equal(const struct tunnel *a, const struct tunnel *b)
{
	return ipv4_equal(a->inner, b->inner) && a->length == b->length &&
	       ipv4_equal(a->server, b->server) && ipv4_equal(a->local, b->local) &&
	       key_equal(&a->server_key, &b->server_key) && a->port == b->port;
}
