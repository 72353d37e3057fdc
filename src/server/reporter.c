/* Keeps the process that reports the served addresses, and tells it which these are. Runs in the
 * broker. */
#include "server/reporter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/event.h"
#include "base/log.h"
#include "http/authorities.h"
#include "ipc/cloud.h"
#include "ipc/packet.h"
#include "server/child.h"
#include "server/config.h"
#include "server/data_plane.h"
#include "server/endpoint.h"
#include "server/gate_setup.h"

_Static_assert((int)CLOUD_FD_BROKER == (int)CHILD_FD_BROKER, "where it looks for its socket");

enum {
	SEND_AGAIN_MS = 500,
};

/* One of its own: it has the backend's secret. */
static const char reporter_user[] = "vprox-cloud";

struct reporter {
	struct cloud_config config;
	struct cloud_secret secret;
	struct cloud_list list; /* what is served */
	struct child_group *group;
	struct event *send_again;
};

static void send_list(struct reporter *reporter, const struct child *child)
{
	struct timeval delay = timeval_from_ms(SEND_AGAIN_MS);
	int error = child->fd < 0 ? 0 : cloud_send_list(child->fd, &reporter->list);

	/* One that has hung up is started again, and told then. */
	if (error < 0 && !packet_is_hung_up(error))
		event_add(reporter->send_again, &delay);
}

static void on_send_again(evutil_socket_t fd, short what, void *context)
{
	struct reporter *reporter = context;

	(void)fd;
	(void)what;
	send_list(reporter, child_group_get(reporter->group, 0));
}

static int start_child(void *context, struct child *child)
{
	struct reporter *reporter = context;
	int error = child_spawn(child, NULL, 0);

	if (error < 0)
		return error;
	error = cloud_send_config(child->fd, &reporter->config);
	if (error == 0)
		error = cloud_send_secret(child->fd, &reporter->secret);
	if (error < 0)
		child_expel(child, "cannot send it its configuration", error);
	else
		send_list(reporter, child);
	return 0;
}

/* It has nothing to say but that it serves, once, and that it ends. */
static void on_readable(void *context, struct child *child)
{
	int error = cloud_receive_ready(child->fd);

	(void)context;
	if (error == 0 && !child->is_ready)
		child->is_ready = true;
	else if (error == 0)
		child_expel(child, "it says what it has not to say", -EPROTO);
	else
		child_read_failed(child, "cannot read what it says", error);
}

static void describe(struct reporter *reporter, const struct server_config *config,
	const struct gate_config *gates)
{
	reporter->config = (struct cloud_config){
		.version = CLOUD_VERSION,
		.task = CLOUD_REPORTS,
		.log_level = config->log_level,
		.log_format = config->log_format,
		.backend = config->backend,
	};
	snprintf(reporter->config.region, sizeof reporter->config.region, "%s",
		config->region ? config->region : "");
	authorities_find(reporter->config.authorities);
	gate_setup_choose_user(
		reporter_user, gates, &reporter->config.user, &reporter->config.group);
	reporter->secret.version = CLOUD_VERSION;
	snprintf(
		reporter->secret.token, sizeof reporter->secret.token, "%s", config->backend_token);
	reporter->list.version = CLOUD_VERSION;
}

int reporter_new(struct event_base *base, const struct server_config *config,
	const struct gate_config *gates, struct reporter **result)
{
	struct reporter *reporter = NULL;
	struct child_group_config children = {
		.command = "cloud",
		.n = 1,
		.start = start_child,
		.readable = on_readable,
	};
	int error;

	*result = NULL;
	if (config->backend.host[0] == '\0')
		return 0;
	reporter = calloc(1, sizeof *reporter);
	error = reporter ? 0 : -ENOMEM;
	if (error == 0) {
		describe(reporter, config, gates);
		children.context = reporter;
		reporter->send_again = evtimer_new(base, on_send_again, reporter);
		error = reporter->send_again ? child_group_new(base, &children, &reporter->group)
					     : -ENOMEM;
	}
	if (error < 0) {
		log_error("no report of what is served: %s", strerror(-error));
		reporter_free(reporter);
		return error;
	}
	*result = reporter;
	return 0;
}

void reporter_update(struct reporter *reporter, const struct data_plane *data_plane)
{
	const struct endpoint *endpoint;
	struct cloud_list list = {.version = CLOUD_VERSION};

	if (!reporter)
		return;
	TAILQ_FOREACH (endpoint, &data_plane->endpoints, entry)
		if (endpoint->is_served && list.n < CLOUD_MAX_ADDRESSES)
			list.addresses[list.n++].address = endpoint->config.bind;
	if (memcmp(&list, &reporter->list, sizeof list) == 0)
		return;
	reporter->list = list;
	send_list(reporter, child_group_get(reporter->group, 0));
}

const struct child *reporter_process(const struct reporter *reporter)
{
	return reporter ? child_group_get(reporter->group, 0) : NULL;
}

void reporter_free(struct reporter *reporter)
{
	if (!reporter)
		return;
	child_group_free(reporter->group);
	free_event(reporter->send_again);
	explicit_bzero(reporter, sizeof *reporter);
	free(reporter);
}
