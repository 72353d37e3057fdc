/* Begins and ends the serving of an endpoint. Runs in the broker's event loop. */
#include "server/serving.h"

#include <errno.h>

#include "base/log.h"
#include "host/host.h"
#include "server/config.h"
#include "server/data_plane.h"
#include "server/frontend.h"
#include "server/gate_setup.h"
#include "server/host_setup.h"
#include "server/rest.h"
#include "server/standbys.h"

/* It may be ready. */
static int prepare_host(const struct serving *serving, const struct endpoint *endpoint)
{
	return endpoint->state == ENDPOINT_STANDBY
		       ? host_arrive(serving->host, endpoint->config.bind)
		       : host_setup_endpoint(serving->host, serving->data_plane, endpoint);
}

/* Clients that come from now on wait at the listener, rather than be refused. */
static int open_all(const struct serving *serving, struct endpoint *endpoint)
{
	const struct gate_endpoint described = gate_setup_describe_endpoint(endpoint);
	int listener = listeners_add(&serving->frontend->listeners,
		&serving->frontend->listener_store, endpoint->config.bind, CONTROL_PORT);
	int error = listener < 0 ? listener : 0;

	if (error == 0)
		error = prepare_host(serving, endpoint);
	if (error == 0)
		error = data_plane_open_endpoint(serving->data_plane, endpoint);
	if (error == 0)
		error = gate_supervisor_serve(serving->frontend->supervisor, &described, listener);
	return error;
}

/* The gates close their sockets before we do: what they are told of is open. */
static void close_all(const struct serving *serving, struct endpoint *endpoint)
{
	gate_supervisor_serve_no_more(serving->frontend->supervisor, endpoint->config.bind);
	listeners_remove(&serving->frontend->listeners, &serving->frontend->listener_store,
		endpoint->config.bind, CONTROL_PORT);
	if (endpoint->state == ENDPOINT_OPEN)
		endpoint_rest(endpoint);
	host_serve_no_more(serving->host, endpoint->config.bind);
}

int serving_begin(const struct serving *serving, struct ipv4 bind)
{
	struct endpoint *endpoint = data_plane_endpoint(serving->data_plane, bind);
	int error;

	if (!endpoint)
		endpoint = data_plane_describe(serving->data_plane, bind);
	if (!endpoint)
		return -ENOSPC;
	if (endpoint->is_served)
		return 0;
	error = open_all(serving, endpoint);
	if (error < 0) {
		close_all(serving, endpoint);
		return error;
	}
	endpoint->is_served = true;
	log_info("%s: served from now on", endpoint_text(endpoint).s);
	return 0;
}

void serving_forget(const struct serving *serving, struct ipv4 bind)
{
	host_serve_no_more(serving->host, bind);
	data_plane_forget(serving->data_plane, bind);
}

enum { NOT_READY = -1 };

/* The number of an endpoint that is ready. */
static int ready_number(const struct serving *serving, struct ipv4 bind)
{
	const struct endpoint *endpoint = data_plane_endpoint(serving->data_plane, bind);

	return endpoint && endpoint->state == ENDPOINT_STANDBY ? (int)endpoint->config.index
							       : NOT_READY;
}

/* Its number may have become another one. */
bool serving_stand_by(const struct serving *serving, struct ipv4 bind, bool is_all, bool may_open)
{
	const int before = ready_number(serving, bind);
	bool is_done = standbys_update(serving->data_plane, bind, is_all, may_open);
	const int number = ready_number(serving, bind);

	if (number == before)
		return is_done;
	host_serve_no_more(serving->host, bind);
	if (number != NOT_READY && host_setup_endpoint(serving->host, serving->data_plane,
					   data_plane_endpoint(serving->data_plane, bind)) < 0)
		serving_forget(serving, bind);
	return is_done;
}

void serving_end(const struct serving *serving, struct ipv4 bind)
{
	struct endpoint *endpoint = data_plane_endpoint(serving->data_plane, bind);

	if (!endpoint || !endpoint->is_served)
		return;
	endpoint->is_served = false;
	log_info("%s: served no more", endpoint_text(endpoint).s);
	close_all(serving, endpoint);
}
