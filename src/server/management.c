/* Opens what operators use, and answers them. Runs in the broker's event loop. */
#include "server/management.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "ipc/report.h"
#include "server/config.h"
#include "server/control_socket.h"
#include "server/gate_setup.h"
#include "server/metrics_link.h"
#include "server/peer_listing.h"
#include "server/snapshot.h"

static const char metrics_user[] = "vprox-metrics";

static int report(void *context, enum report_extent extent, struct evbuffer *out)
{
	const struct management *management = context;
	struct snapshot_source source = {.data_plane = management->data_plane};

	snapshot_add(&source, "metrics", metrics_link_process(management->metrics));
	management->describe(management->context, &source);
	return snapshot_write(&source, extent, out);
}

static int report_with_peers(
	void *context, enum report_extent extent, struct evbuffer *out, struct peer_listing **peers)
{
	const struct management *management = context;
	int error = report(context, extent, out);

	if (error < 0 || extent != REPORT_ALL)
		return error;
	*peers = peer_listing_new(management->data_plane);
	return *peers ? 0 : -ENOMEM;
}

static int disconnect(void *context, const struct disconnect_order *order, uint64_t number)
{
	struct management *management = context;

	return disconnections_begin(&management->disconnections, order, number);
}

static void tell_operator(void *context, uint64_t number, const struct disconnect_state *state)
{
	struct management *management = context;

	control_socket_tell(management->control, number, state);
}

static void open_control_socket(struct management *management, struct event_base *base)
{
	const struct control_socket_config config = {
		.path = REPORT_SOCKET,
		.deadline_ms = CONTROL_DEADLINE_MS,
		.still_ms = CONTROL_STILL_MS,
		.answer = report_with_peers,
		.disconnect = disconnect,
		.context = management,
	};
	int error;

	management->disconnections = (struct disconnections){
		.data_plane = management->data_plane,
		.clock = &system_clock,
		.base = base,
		.tell = tell_operator,
		.context = management,
	};
	error = control_socket_open(base, &config, &management->control);

	if (error < 0)
		log_error("`vprox show` will not work: cannot listen on %s: %s", REPORT_SOCKET,
			strerror(-error));
}

static void start_metrics(struct management *management, struct event_base *base)
{
	const struct server_config *config = management->config;
	struct metrics_link_config metrics = {
		.text = config->metrics,
		.address = (const struct sockaddr *)&config->metrics_address,
		.address_length = (socklen_t)config->metrics_address_length,
		.log_level = config->log_level,
		.log_format = config->log_format,
		.report = report,
		.context = management,
	};

	if (!config->metrics)
		return;
	gate_setup_choose_user(metrics_user, management->gates, &metrics.user, &metrics.group);
	if (metrics_link_new(base, &metrics, &management->metrics) < 0)
		log_error("metrics are not served: %s", strerror(ENOMEM));
}

void management_open(struct management *management, struct event_base *base)
{
	open_control_socket(management, base);
	start_metrics(management, base);
}

void management_close(struct management *management)
{
	control_socket_close(management->control);
	management->control = NULL;
	disconnections_free(&management->disconnections);
	metrics_link_free(management->metrics);
}
