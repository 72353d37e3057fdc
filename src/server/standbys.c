/*
 * The endpoints that this host is standby for, as the store tells what other hosts promise. Runs in
 * the broker's event loop.
 */
#include "server/standbys.h"

#include "server/data_plane.h"
#include "server/standby.h"
#include "server/store_setup.h"

/* Of another number, or another key, nothing that was made is of use. */
static bool is_as_promised(const struct endpoint *endpoint, const struct stored_endpoint *stored)
{
	const struct plane_endpoint *config = &endpoint->config;

	return config->index == stored->index && config->port == stored->port &&
	       config->block.length == stored->length &&
	       ipv4_equal(config->block.address, stored->network) &&
	       key_equal(&config->private_key, &stored->private_key);
}

/* NULL: what is promised there cannot be made here. */
static struct endpoint *describe_as_promised(
	struct data_plane *data_plane, const struct stored_endpoint *stored)
{
	struct endpoint *endpoint = data_plane_endpoint(data_plane, stored->bind);

	if (endpoint && !is_as_promised(endpoint, stored)) {
		data_plane_forget(data_plane, stored->bind);
		endpoint = NULL;
	}
	if (!endpoint)
		endpoint = data_plane_describe(data_plane, stored->bind);
	if (!endpoint || is_as_promised(endpoint, stored))
		return endpoint;
	data_plane_forget(data_plane, stored->bind);
	return NULL;
}

static struct endpoint *find_standby(struct data_plane *data_plane, struct ipv4 bind, bool may_open)
{
	const struct stored_endpoint *stored =
		promised_endpoint(&data_plane->store->promised, bind);
	struct endpoint *endpoint;

	if (!may_open || !stored)
		return standbys_is_ready(data_plane, bind) ? data_plane_endpoint(data_plane, bind)
							   : NULL;
	endpoint = describe_as_promised(data_plane, stored);
	if (!endpoint)
		return NULL;
	if (endpoint->state == ENDPOINT_DESCRIBED && standby_open(endpoint, data_plane->base) < 0)
		return NULL;
	return endpoint->state == ENDPOINT_STANDBY ? endpoint : NULL;
}

bool standbys_is_ready(const struct data_plane *data_plane, struct ipv4 bind)
{
	const struct endpoint *endpoint = data_plane_endpoint(data_plane, bind);

	return endpoint && endpoint->state == ENDPOINT_STANDBY;
}

bool standbys_update(struct data_plane *data_plane, struct ipv4 bind, bool is_all, bool may_open)
{
	struct endpoint *endpoint = data_plane_endpoint(data_plane, bind);

	if (endpoint && endpoint->is_served)
		return false;
	endpoint = find_standby(data_plane, bind, may_open);
	if (endpoint)
		standby_update(endpoint, &data_plane->store->promised, is_all);
	return true;
}
