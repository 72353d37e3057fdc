/* Has the host confine peers to what their names may reach. Runs in the broker. */
#include "server/destinations.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "host/firewall_confined.h"
#include "host/host.h"
#include "ipc/token_set.h"
#include "server/address_set.h"
#include "server/config.h"
#include "server/endpoint.h"
#include "server/name_rules.h"

/* One whose token is none any more is to go, and reaches nothing until then. */
struct confining destinations_of(
	const struct name_rules *rules, const struct client_name *name, struct ipv4 inner)
{
	static const struct prefix nothing[1];
	const struct token *token;

	if (client_name_kind(name) != CLIENT_NAME_TOKEN)
		return (struct confining){.inner = inner};
	token = token_set_named(rules->config->tokens, name);
	if (!token)
		return (struct confining){.inner = inner, .to = nothing, .n = 0};
	return (struct confining){.inner = inner,
		.to = token->n_allow_to > 0 ? token->allow_to : NULL,
		.n = token->n_allow_to};
}

int destinations_confine(
	const struct endpoint *endpoint, const struct client_name *name, struct ipv4 inner)
{
	const struct name_rules *rules = endpoint->name_rules;
	struct confining change;

	if (!rules || !rules->host)
		return 0;
	change = destinations_of(rules, name, inner);
	return host_confine(rules->host, &change, 1);
}

/* Of peers that have a name: what one reaches whose name is not known stays as it was. */
static size_t describe_all(const struct name_rules *rules, struct confining *changes)
{
	const struct endpoint *endpoint;
	size_t n = 0;

	TAILQ_FOREACH (endpoint, rules->endpoints, entry) {
		if (endpoint->state == ENDPOINT_DESCRIBED)
			continue;
		hash_for_each (&endpoint->peers.table, node) {
			const struct peer *peer = hash_entry(node, struct peer, node);

			if (peer->name)
				changes[n++] =
					destinations_of(rules, peers_name_of(peer), peer->id.inner);
		}
	}
	return n;
}

void destinations_enforce(const struct name_rules *rules)
{
	struct confining *changes;

	if (!rules->host)
		return;
	changes = calloc(endpoints_count_peers(rules->endpoints) + 1, sizeof *changes);
	if (!changes || host_confine(rules->host, changes, describe_all(rules, changes)) < 0)
		log_error("what the tokens' clients reach is not as their file says: %s",
			changes ? "the firewall cannot be changed" : strerror(ENOMEM));
	free(changes);
}

/* Names are few, and peers many. */
static bool fits_table(const struct name_rules *rules)
{
	const struct endpoint *endpoint;
	const struct peer_name *name;

	TAILQ_FOREACH (endpoint, rules->endpoints, entry) {
		LIST_FOREACH(name, &endpoint->peers.names.of_tokens, entry)
		{
			const struct confining change =
				destinations_of(rules, &name->name, (struct ipv4){0});

			if (!host_confines_in_place(rules->host, &change))
				return false;
		}
	}
	return true;
}

/* A firewall that cannot be changed peer by peer is not tried for each of them. */
static void confine_one(void *context, struct endpoint *endpoint, struct peer *peer)
{
	struct destinations_round *round = context;
	const struct name_rules *rules = round->rules;
	struct confining change;

	(void)endpoint;
	if (round->is_through || !peer->name)
		return;
	change = destinations_of(rules, peers_name_of(peer), peer->id.inner);
	if (host_confines_in_place(rules->host, &change) &&
		host_confine(rules->host, &change, 1) == 0)
		return;
	destinations_enforce(rules);
	round->is_through = true;
}

static void end_round(void *context)
{
	struct destinations_round *round = context;

	round->done(round->context);
}

int destinations_round_init(struct destinations_round *round, struct event_base *base,
	const struct name_rules *rules, peer_walk_done_fn *done, void *context)
{
	*round = (struct destinations_round){.rules = rules, .done = done, .context = context};
	return all_peers_init(&round->peers, base, rules->endpoints, confine_one, end_round, round);
}

void destinations_round_free(struct destinations_round *round)
{
	all_peers_free(&round->peers);
}

void destinations_round_begin(struct destinations_round *round)
{
	round->is_through = false;
	if (round->rules->host && fits_table(round->rules) && all_peers_begin(&round->peers) == 0)
		return;
	all_peers_cancel(&round->peers);
	destinations_enforce(round->rules);
	round->done(round->context);
}

bool destinations_round_runs(const struct destinations_round *round)
{
	return all_peers_runs(&round->peers);
}

struct forgetting {
	const struct name_rules *rules;
	const struct address_set *unused;
};

/* What the store of a fleet has told since may have been claimed meanwhile. */
static bool is_held(const struct name_rules *rules, struct ipv4 inner)
{
	const struct endpoint *endpoint;

	TAILQ_FOREACH (endpoint, rules->endpoints, entry)
		if (endpoint->pool && pool_is_taken(endpoint->pool, inner))
			return true;
	return false;
}

static bool is_unused(void *context, struct ipv4 inner)
{
	const struct forgetting *forgetting = context;

	return address_set_has(forgetting->unused, inner) && !is_held(forgetting->rules, inner);
}

void destinations_forget(const struct name_rules *rules, const struct address_set *unused)
{
	struct forgetting forgetting = {rules, unused};

	if (rules->host)
		host_confine_no_more(rules->host, is_unused, &forgetting);
}
