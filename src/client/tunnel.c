/* What follows from a grant, and whether it may be used. Runs in the client and its request
 * process.
 */
#include "client/tunnel.h"

#include <stddef.h>

enum {
	LARGEST_BLOCK = 8, /* 10.0.0.0/8 */
	SMALLEST_BLOCK = 30, /* has room for two */
};

struct prefix tunnel_block(const struct tunnel *tunnel)
{
	return (struct prefix){{tunnel->inner.value & prefix_mask(tunnel->length)}, tunnel->length};
}

struct ipv4 tunnel_gateway(const struct tunnel *tunnel)
{
	return (struct ipv4){tunnel_block(tunnel).address.value + 1};
}

/* Addresses that mean something else on every host. */
static const char *address_fault(struct ipv4 address)
{
	static const struct {
		struct prefix block;
		const char *text;
	} special[] = {
		{{{0x00000000}, 8}, "the address or the gateway lies in 0.0.0.0/8, \"this host\""},
		{{{0x7f000000}, 8}, "the address or the gateway lies in 127.0.0.0/8, the loopback"},
		{{{0xa9fe0000}, 16},
			"the address or the gateway lies in 169.254.0.0/16, which is link-local"},
		{{{0xe0000000}, 3},
			"the address or the gateway lies in 224.0.0.0/3, multicast and reserved"},
	};

	for (size_t i = 0; i < sizeof special / sizeof *special; i++)
		if (prefix_contains(special[i].block, address))
			return special[i].text;
	return NULL;
}

const char *tunnel_fault(const struct tunnel *tunnel, enum tunnel_kind kind)
{
	struct prefix block;
	const char *fault;

	if (tunnel->length < LARGEST_BLOCK || tunnel->length > SMALLEST_BLOCK)
		return "the block of the address is too large or too small";
	block = tunnel_block(tunnel);
	fault = address_fault(tunnel->inner);
	if (!fault)
		fault = address_fault(tunnel_gateway(tunnel));
	if (fault)
		return fault;
	if (ipv4_equal(tunnel->inner, block.address) ||
		ipv4_equal(tunnel->inner, tunnel_gateway(tunnel)) ||
		ipv4_equal(tunnel->inner, prefix_last(block)))
		return "the address cannot be a client's";
	if (prefix_contains(block, tunnel->server) || prefix_contains(block, tunnel->local))
		return "the block of the address contains the tunnel's own end";
	if (kind == TUNNEL_WIREGUARD &&
		(tunnel->port == 0 || key_is_low_order(&tunnel->server_key)))
		return "there is no port, or no key that a handshake can end with";
	return NULL;
}

bool tunnel_equal(const struct tunnel *a, const struct tunnel *b)
{
	return ipv4_equal(a->inner, b->inner) && a->length == b->length &&
	       ipv4_equal(a->server, b->server) && ipv4_equal(a->local, b->local) &&
	       key_equal(&a->server_key, &b->server_key) && a->port == b->port;
}
