/*
 * The table of an endpoint's peers, their rates and their idle clocks. Runs in the broker.
 */
#include "server/peers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the table hashes: the kind and 32 bytes, an IPIP peer's address in the first four. */
struct peer_identity {
	uint32_t kind;
	uint8_t bytes[KEY_SIZE];
};

static struct peer_identity identity_of(const struct plane_peer *id)
{
	struct peer_identity identity = {.kind = id->kind};

	if (id->kind == PEER_WIREGUARD)
		memcpy(identity.bytes, id->key.bytes, KEY_SIZE);
	else
		memcpy(identity.bytes, &id->remote.value, sizeof id->remote.value);
	return identity;
}

static bool has_identity(const struct hash_node *node, const void *key)
{
	struct peer_identity identity = identity_of(&hash_entry(node, const struct peer, node)->id);

	return memcmp(&identity, key, sizeof identity) == 0;
}

int peers_init(struct peers *peers)
{
	int error = hash_init(&peers->table);

	if (error == 0)
		error = peer_sources_init(&peers->sources);
	return error < 0 ? error : peer_names_init(&peers->names);
}

void peers_free(struct peers *peers)
{
	hash_for_each (&peers->table, node)
		free(hash_entry(node, struct peer, node));
	hash_free(&peers->table);
	peer_sources_free(&peers->sources);
	peer_names_free(&peers->names);
	peers->n_wireguard = peers->n_ipip = 0;
	peers->n_new = peers->n_owed = 0;
}

struct peer *peers_find(const struct peers *peers, const struct plane_peer *id)
{
	struct peer_identity identity = identity_of(id);
	struct hash_node *node = hash_find(&peers->table, &identity, sizeof identity, has_identity);

	return node ? hash_entry(node, struct peer, node) : NULL;
}

static uint32_t *count_of(struct peers *peers, const struct peer *peer)
{
	return peer->id.kind == PEER_WIREGUARD ? &peers->n_wireguard : &peers->n_ipip;
}

struct peer *peers_add(struct peers *peers, const struct plane_peer *id, uint64_t now_ms)
{
	struct peer_identity identity = identity_of(id);
	struct peer *peer = calloc(1, sizeof *peer);

	if (!peer)
		return NULL;
	peer->id = *id;
	peer->connected_ms = now_ms;
	peer->active_ms = now_ms;
	peer->rate.since_ms = (uint32_t)now_ms;
	peer->heard_ms = now_ms;
	hash_insert(&peers->table, &peer->node, &identity, sizeof identity);
	++*count_of(peers, peer);
	return peer;
}

static const struct ipv4 nowhere;

void peers_set_source(struct peers *peers, struct peer *peer, struct ipv4 source)
{
	if (ipv4_equal(peer->source, source))
		return;
	if (!ipv4_equal(peer->source, nowhere))
		peer_sources_remove(&peers->sources, peer->source);
	peer->source = nowhere;
	if (!ipv4_equal(source, nowhere) && peer_sources_add(&peers->sources, source) == 0)
		peer->source = source;
}

static const struct client_name nobody;

const struct client_name *peers_name_of(const struct peer *peer)
{
	return peer->name ? &peer->name->name : &nobody;
}

int peers_set_name(struct peers *peers, struct peer *peer, const struct client_name *name)
{
	struct peer_name *before = peer->name, *next = NULL;

	if (client_name_equal(peers_name_of(peer), name))
		return 0;
	if (!client_name_is_none(name)) {
		next = peer_names_add(&peers->names, name);
		if (!next)
			return -ENOMEM;
	}
	peer->name = next;
	if (before)
		peer_names_remove(&peers->names, before);
	return 0;
}

uint64_t peers_client(const struct peers *peers, const struct key *id)
{
	return key_is_zero(id) ? 0 : hash_bytes(&peers->table, id->bytes, sizeof id->bytes);
}

void peers_set_new(struct peers *peers, struct peer *peer, bool is_new)
{
	peers->n_new += (size_t)is_new - (size_t)peer->is_new;
	peer->is_new = is_new;
}

void peers_set_owed(struct peers *peers, struct peer *peer, bool is_owed)
{
	peers->n_owed += (size_t)is_owed - (size_t)peer->is_owed;
	peer->is_owed = is_owed;
}

void peers_remove(struct peers *peers, struct peer *peer)
{
	peers_set_new(peers, peer, false);
	peers_set_owed(peers, peer, false);
	peers_set_source(peers, peer, nowhere);
	peers_set_name(peers, peer, &nobody);
	hash_remove(&peers->table, &peer->node);
	--*count_of(peers, peer);
	free(peer);
}

size_t peers_count(const struct peers *peers)
{
	return peers->table.count;
}

void peer_adopt_usage(struct peer *peer, const struct plane_usage *usage)
{
	peer->usage = *usage;
	peer->rate.received_before = usage->received;
	peer->rate.sent_before = usage->sent;
}

/* Counters that were set back, as those of a tunnel made anew, tell nothing of the span. Nor does
 * what no link carries, of a device that was taken over: as a whole number it would be too large.
 */
static float per_second(uint64_t before, uint64_t now, uint32_t span_ms)
{
	if (now < before || now - before > UINT64_MAX / 1000)
		return 0;
	return (float)(now - before) * 1000 / (float)span_ms;
}

static void record_rate(struct peer *peer, uint64_t now_ms)
{
	struct peer_rate *rate = &peer->rate;
	uint32_t span_ms = (uint32_t)now_ms - rate->since_ms;

	if (span_ms < RATE_SPAN_MS)
		return;
	rate->received = per_second(rate->received_before, peer->usage.received, span_ms);
	rate->sent = per_second(rate->sent_before, peer->usage.sent, span_ms);
	rate->since_ms = (uint32_t)now_ms;
	rate->received_before = peer->usage.received;
	rate->sent_before = peer->usage.sent;
}

void peers_record_usage(
	struct peers *peers, struct peer *peer, const struct plane_usage *usage, uint64_t now_ms)
{
	bool alive = peer->id.kind == PEER_WIREGUARD
			     ? usage->handshake_ns != peer->usage.handshake_ns
			     : usage->received != peer->usage.received ||
				       usage->sent != peer->usage.sent;

	if (usage->received != peer->usage.received ||
		usage->handshake_ns != peer->usage.handshake_ns)
		peer->heard_ms = now_ms;
	peer->usage = *usage;
	if (alive) {
		peer->active_ms = now_ms;
		peers_set_new(peers, peer, false);
	}
	record_rate(peer, now_ms);
}

/* What has come after now was not yet known then. */
static uint64_t since(uint64_t then_ms, uint64_t now_ms)
{
	return then_ms < now_ms ? now_ms - then_ms : 0;
}

bool peer_is_idle(const struct peer *peer, const struct idle_rule *rule, uint64_t now_ms)
{
	uint64_t since_connect = since(peer->connected_ms, now_ms);
	uint64_t since_active = since(peer->active_ms, now_ms);

	if (peer->id.kind == PEER_WIREGUARD && peer->usage.handshake_ns != 0)
		return since_active > rule->idle_timeout_ms &&
		       since_connect > rule->connect_grace_ms;
	/* Without a handshake since it was last made: being made was a sign of life too, also when
	 * its device was lost and is back. */
	return since_active > rule->idle_timeout_ms && since_connect > rule->idle_timeout_ms;
}

struct peer_text peer_text(const struct plane_peer *id)
{
	struct peer_text text;

	if (id->kind == PEER_WIREGUARD)
		snprintf(text.s, sizeof text.s, "WireGuard peer %s", key_text(&id->key).s);
	else
		snprintf(text.s, sizeof text.s, "IPIP peer %s", ipv4_text(id->remote).s);
	return text;
}
