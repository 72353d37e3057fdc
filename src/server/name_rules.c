/* Decides which names are good and have had their share, and takes away the tunnels of those that
 * are none any more. Runs in the broker. */
#include "server/name_rules.h"

#include <time.h>

#include "ipc/token_set.h"
#include "server/config.h"
#include "server/endpoint.h"
#include "server/flow_purge.h"
#include "server/peer_walk.h"
#include "server/removals.h"

static const struct token *token_of(const struct name_rules *rules, const struct client_name *name)
{
	return token_set_named(rules->config->tokens, name);
}

/* A token ends by the time of day, as its operator has written it down. */
static uint64_t now_s(void)
{
	return (uint64_t)time(NULL);
}

/* NULL: it is good. */
static const struct removal_reason *why_not(
	const struct name_rules *rules, const struct client_name *name)
{
	const struct token *token;

	if (!rules || client_name_kind(name) != CLIENT_NAME_TOKEN)
		return NULL;
	token = token_of(rules, name);
	if (!token)
		return &removal_token_gone;
	return token_is_good(token, now_s()) ? NULL : &removal_token_expired;
}

bool name_is_good(const struct name_rules *rules, const struct client_name *name)
{
	return why_not(rules, name) == NULL;
}

bool name_may_relinquish(const struct name_rules *rules, const struct client_name *name)
{
	return !rules || client_name_is_none(name) || rules->config->is_oidc_modal;
}

/* Of all endpoints, each of which counts by itself: they are few. */
static uint64_t count_all(const struct name_rules *rules, const struct client_name *name)
{
	const struct endpoint *endpoint;
	uint64_t n = 0;

	TAILQ_FOREACH (endpoint, rules->endpoints, entry)
		if (endpoint->state == ENDPOINT_OPEN)
			n += peer_names_count(&endpoint->peers.names, name);
	return n;
}

/* max-peers= of its token; 0: there is none. */
static uint32_t most_of(const struct name_rules *rules, const struct client_name *name)
{
	const struct token *token = rules ? token_of(rules, name) : NULL;

	return token ? token->max_peers : 0;
}

bool name_is_full(const struct endpoint *endpoint, const struct client_name *name)
{
	uint32_t most = most_of(endpoint->name_rules, name);

	return most > 0 && count_all(endpoint->name_rules, name) >= most;
}

bool name_has_its_share(const struct endpoint *endpoint, const struct client_name *name)
{
	if (most_of(endpoint->name_rules, name) > 0)
		return name_is_full(endpoint, name);
	return endpoint_is_nearly_used_up(endpoint) &&
	       peer_names_count(&endpoint->peers.names, name) >= endpoint_share(endpoint);
}

static bool has_any_gone(const struct name_rules *rules, const struct endpoint *endpoint)
{
	const struct peer_name *name;

	LIST_FOREACH(name, &endpoint->peers.names.of_tokens, entry)
	if (!name_is_good(rules, &name->name))
		return true;
	return false;
}

static void remove_if_bad(void *context, struct peer *peer)
{
	struct endpoint *endpoint = context;
	const struct removal_reason *reason = why_not(endpoint->name_rules, peers_name_of(peer));

	if (reason && !peer->removal)
		removals_add(&endpoint->removals, peer, reason, NULL);
}

static void hurry(void *context)
{
	const struct endpoint *endpoint = context;

	flow_purge_hurry(endpoint->flow_purge);
}

int name_rules_init(struct endpoint *endpoint, struct event_base *base)
{
	return peer_walk_init(&endpoint->name_walk, base, remove_if_bad, hurry, endpoint);
}

/* Names are few, and peers many: these are gone through only if it is known that one has to go. A
 * name that goes while they are is found the next time. */
static void enforce_at(const struct name_rules *rules, struct endpoint *endpoint)
{
	if (!peer_walk_runs(&endpoint->name_walk) && has_any_gone(rules, endpoint))
		peer_walk_begin(&endpoint->name_walk, endpoint);
}

void name_rules_enforce(const struct name_rules *rules)
{
	struct endpoint *endpoint;

	TAILQ_FOREACH (endpoint, rules->endpoints, entry)
		if (endpoint->state == ENDPOINT_OPEN)
			enforce_at(rules, endpoint);
}

uint64_t name_rules_next_end(const struct name_rules *rules)
{
	return token_set_next_end(rules->config->tokens, now_s());
}
