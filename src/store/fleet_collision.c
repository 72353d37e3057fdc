/* Finds and tells that endpoints collide. Runs in the store's process. */
#include "store/fleet_collision.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "store/outbox.h"

bool fleet_has_same_numbers(const struct stored_endpoint *a, const struct stored_endpoint *b)
{
	return a->index == b->index && a->port == b->port && a->length == b->length &&
	       ipv4_equal(a->network, b->network);
}

/* What its fleet knows it by, with the same key, holds from the next start on; else somebody has to
 * say what is given up. */
static bool is_to_be_given_up(const struct storing_message *collision)
{
	return !ipv4_equal(collision->endpoint.bind, collision->peer.bind) ||
	       collision->host[0] != '\0';
}

int fleet_tell_collision(struct fleet *fleet, const struct stored_endpoint *endpoint,
	struct ipv4 whose, const char *host)
{
	struct storing_message message = {
		.version = STORING_VERSION,
		.operation = STORING_COLLIDES,
		.endpoint = *endpoint,
		.peer.bind = whose,
	};
	int error;

	if (host)
		snprintf(message.host, sizeof message.host, "%s", *host ? host : "unknown");
	explicit_bzero(&message.endpoint.private_key, sizeof message.endpoint.private_key);
	if (is_to_be_given_up(&message))
		outbox_set_collision(fleet->outbox, endpoint->bind, whose);
	error = fleet->tell(&message);
	return error < 0 ? error : -EEXIST;
}

bool fleet_has_other_clients(struct fleet *fleet, const struct stored_endpoint *local,
	const struct stored_endpoint *seen)
{
	return fleet_has_same_numbers(local, seen) &&
	       !key_equal(&local->private_key, &seen->private_key) &&
	       outbox_has_own_peers(fleet->outbox, local->bind);
}

void fleet_give_number_up(struct fleet *fleet, struct ipv4 bind)
{
	if (outbox_has_peers(fleet->outbox, bind) || outbox_abandon(fleet->outbox, bind) < 0)
		return;
	log_warning("endpoint %s: nobody was promised an address there: when its server is started "
		    "again it has a number that is free",
		ipv4_text(bind).s);
}
