/* Looks addresses up in the tree of prefixes, without a lock. Runs in every worker. */
#include "device/wireguard/allowedips_lookup.h"

#include "device/io/headers.h"
#include "device/io/packet.h"
#include "device/wireguard/allowedips_node.h"

/* The numbers of the prefixes of a chunk: 1, its first bit, its first two bits, ... */
static inline uint64_t numbers_above(unsigned int chunk)
{
	uint64_t numbers = 0;

	for (unsigned int number = (FANOUT | chunk) >> 1; number > 0; number >>= 1)
		numbers |= UINT64_C(1) << number;
	return numbers;
}

/* The longest prefix of the chunk that ends at this node. A place may be empty: see shrink(). */
static inline struct allowedips_entry *longest_at(const struct node *node, unsigned int chunk)
{
	uint64_t candidates = node->prefixes ? node->prefixes & numbers_above(chunk) : 0;
	unsigned int n_children = candidates ? count_bits(node->children) : 0;

	while (candidates) {
		unsigned int number = highest_bit(candidates);
		place p = load(&node->places[n_children + rank(node->prefixes, number)]);

		if (p)
			return entry_at(p);
		candidates &= ~(UINT64_C(1) << number);
	}
	return NULL;
}

static struct allowedips_owner *lookup(const _Atomic place *root, bits128 key)
{
	struct allowedips_entry *best = NULL, *entry;
	place p = load(root);

	while (p && !(p & IS_ENTRY)) {
		const struct node *node = node_at(p);
		unsigned int chunk = chunk_at(key, node->depth);

		if ((key ^ node->key) & mask_of(node->depth))
			break;
		entry = longest_at(node, chunk);
		if (entry)
			best = entry;
		p = node->children >> chunk & 1 ? load(&node->places[rank(node->children, chunk)])
						: 0;
	}
	entry = entry_at(p);
	if (entry) {
		struct prefix_bits prefix = entry_bits(entry);

		if (((key ^ prefix.key) & mask_of(prefix.length)) == 0)
			best = entry;
	}
	return best ? atomic_load_explicit(&best->owner, memory_order_acquire) : NULL;
}

struct allowedips_owner *allowedips_lookup4(
	const struct allowedips *table, const struct in_addr *address)
{
	return lookup(&table->root4, load_bits((const uint8_t *)address, 4));
}

struct allowedips_owner *allowedips_lookup6(
	const struct allowedips *table, const struct in6_addr *address)
{
	return lookup(&table->root6, load_bits(address->s6_addr, 16));
}

static struct allowedips_owner *lookup_packet(const struct allowedips *table, const uint8_t *packet,
	size_t length, size_t v4_offset, size_t v6_offset)
{
	if (length >= PACKET_IPV4_HEADER && packet[0] >> 4 == 4)
		return lookup(&table->root4, load_bits(packet + v4_offset, 4));
	if (length >= PACKET_IPV6_HEADER && packet[0] >> 4 == 6)
		return lookup(&table->root6, load_bits(packet + v6_offset, 16));
	return NULL;
}

struct allowedips_owner *allowedips_lookup_destination(
	const struct allowedips *table, const uint8_t *packet, size_t length)
{
	return lookup_packet(table, packet, length, IPV4_DESTINATION, IPV6_DESTINATION);
}

struct allowedips_owner *allowedips_lookup_source(
	const struct allowedips *table, const uint8_t *packet, size_t length)
{
	return lookup_packet(table, packet, length, IPV4_SOURCE, IPV6_SOURCE);
}
