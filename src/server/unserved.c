/* Goes through the stored endpoints that are not served. Runs in the broker, at its start. */
#include "server/unserved.h"

#include <stdbool.h>
#include <time.h>

#include "base/log.h"
#include "server/config.h"
#include "server/promised.h"
#include "server/store_link.h"

enum {
	KEPT_DAYS = 30,
	DAY_S = 24 * 60 * 60,
};

/* When it was served, or one of its peers active, for the last time. What is reserved of
 * handshakes' timestamps goes with the time. */
static uint64_t last_use_s(const struct promised *promised, const struct stored_endpoint *endpoint)
{
	size_t n;
	const struct stored_peer *peers = promised_peers(promised, endpoint->bind, &n);
	uint64_t active_s = n > 0 ? peers[n - 1].active_s : 0;

	return active_s > endpoint->floor_s ? active_s : endpoint->floor_s;
}

static void judge(const struct promised *promised, const struct stored_endpoint *endpoint,
	struct store_link *link)
{
	const struct storing_message order = {
		.operation = STORING_FORGET, .peer = {.bind = endpoint->bind}};
	const uint64_t now_s = (uint64_t)time(NULL);
	size_t n;

	promised_peers(promised, endpoint->bind, &n);
	if (now_s > last_use_s(promised, endpoint) + KEPT_DAYS * DAY_S) {
		store_link_order(link, &order);
		log_info("endpoint %s is not served, and was not for %d days: what was promised to "
			 "%zu clients is forgotten",
			ipv4_text(endpoint->bind).s, KEPT_DAYS, n);
	} else if (n > 0) {
		log_info("endpoint %s is not served: what was promised to %zu clients is kept for "
			 "%d days after its end",
			ipv4_text(endpoint->bind).s, n, KEPT_DAYS);
	}
}

void unserved_forget(const struct promised *promised, const struct server_config *config,
	struct store_link *link)
{
	for (size_t i = 0; i < promised->n_endpoints; i++)
		if (!server_config_names(config, promised->endpoints[i].bind))
			judge(promised, &promised->endpoints[i], link);
}
