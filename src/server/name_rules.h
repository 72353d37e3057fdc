/* What the broker asks of a client's name, beyond what a gate has found out: whether it is still
 * good, and how many peers it may have. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct client_name;
struct endpoint;
struct endpoint_list;
struct event_base;
struct host;
struct server_config;

/* All names of a server. */
struct name_rules {
	const struct server_config *config; /* the one in force */
	const struct endpoint_list *endpoints;
	struct host *host; /* NULL until it is prepared */
};

/* Whether a client of this name may ask for anything: its token is there, and has not expired. Of
 * names of other kinds only the gates know. rules may be NULL: always. */
bool name_is_good(const struct name_rules *rules, const struct client_name *name);

/* Whether a client of this name may have the endpoint's tunnels stay when the server ends: who has
 * shown the password, and in oidc-modal everybody, as in the older programs. rules may be NULL:
 * everybody. */
bool name_may_relinquish(const struct name_rules *rules, const struct client_name *name);

/* Whether a name has as many peers as max-peers= of its token says, at all endpoints. */
bool name_is_full(const struct endpoint *endpoint, const struct client_name *name);

/* Whether a name has as many peers as it may have: max-peers= of its token, at all endpoints, else
 * its share of this one once its addresses are nearly used up. */
bool name_has_its_share(const struct endpoint *endpoint, const struct client_name *name);

/* Of an endpoint that opens; to be freed with peer_walk_free(). base: NULL in a test. Returns 0 or
 * -ENOMEM. */
int name_rules_init(struct endpoint *endpoint, struct event_base *base);

/* Queues the peers of all names that are not good any more for removal, some at a time. To be
 * called now and then: a name that goes meanwhile is found the next time. */
void name_rules_enforce(const struct name_rules *rules);

/* When the next name ends by itself, s since 1970; UINT64_MAX: none does. */
uint64_t name_rules_next_end(const struct name_rules *rules);
