/* Gathers what a gate has refused, and tells the broker. Runs in the gate's one thread. */
#include "gate/refusal_report.h"

#include <errno.h>
#include <stdlib.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/log.h"
#include "gate/broker_link.h"
#include "gate/client_address.h"

struct refusal_report {
	struct broker_link *broker;
	struct event *timer;
	struct refused_requests refusals;
};

static int tell(struct refusal_report *report, const struct refused_request *refusal)
{
	const struct ipc_request request = {
		.version = IPC_VERSION, .operation = IPC_REFUSED, .refusal = *refusal};

	return broker_link_tell(report->broker, &request);
}

/* What there is no room for now is told later, with what has come by then. */
static int tell_all(struct refusal_report *report)
{
	struct refused_request refusal;
	int error = 0;

	while (error == 0 && refusals_take(&report->refusals, &refusal)) {
		error = tell(report, &refusal);
		if (error < 0)
			refusals_add(&report->refusals, &refusal);
	}
	return error;
}

static void schedule(struct refusal_report *report)
{
	const struct timeval period = timeval_from_ms(REFUSALS_PERIOD_MS);

	event_add(report->timer, &period);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	struct refusal_report *report = context;

	(void)fd;
	(void)what;
	if (tell_all(report) < 0)
		schedule(report);
}

struct refusal_report *refusal_report_new(struct event_base *base, struct broker_link *broker)
{
	struct refusal_report *report = calloc(1, sizeof *report);

	if (!report)
		return NULL;
	report->broker = broker;
	report->timer = evtimer_new(base, on_timer, report);
	if (report->timer)
		return report;
	free(report);
	return NULL;
}

void refusal_report_free(struct refusal_report *report)
{
	if (!report)
		return;
	if (tell_all(report) < 0)
		log_debug("the last refusals are not told to the broker");
	free_event(report->timer);
	free(report);
}

void refusal_report_add(struct refusal_report *report, const struct client_address *client,
	enum refusal_reason reason)
{
	struct refused_request refusal = {
		.bind = client->local,
		.source_port = client->port,
		.reason = (uint16_t)reason,
		.count = 1,
	};

	if (!report)
		return;
	client_address_ipv4(client, &refusal.source);
	if (refusals_are_empty(&report->refusals))
		schedule(report);
	refusals_add(&report->refusals, &refusal);
}
