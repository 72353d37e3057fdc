/*
 * Starts the process of the flow log, confines it, and writes a line for each notice of a flow that
 * has ended: the main file of this process, which has one thread.
 *
 * What the broker says comes first, whenever both have something: who has an address was told
 * before his flows end.
 */
#include "flows/flows.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/line_file.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/signals.h"
#include "flows/flow_line.h"
#include "flows/owners.h"
#include "ipc/flow_process.h"
#include "ipc/packet.h"
#include "netlink/conntrack_events.h"

enum {
	BROKER = 0, /* places in the table of sockets */
	EVENTS = 1,
	N_SOCKETS = 2,
	LINES_SIZE = 64 * 1024,
	MANY_EVENTS = 1024, /* at a time, before the broker is heard again */
	MANY_MESSAGES = 1024,
	/* After all that had come was written: one call of poll() is for many flows. */
	REST_MS = 20,
	STATE_MS = 1000, /* between two messages that tell what was written */
	CALM_MS = 5000, /* without a loss: then it is over */
	LAST_MS = 1000, /* for what has come when the broker goes */
};

struct flows {
	struct prefix block; /* of all inner addresses */
	struct owners owners;
	struct line_file file;
	bool is_told; /* of all who have an address */
	bool is_resting;

	char *lines; /* LINES_SIZE, not written yet */
	size_t length, n_lines;

	uint64_t n_written;
	bool has_changed; /* since the state was told, at told_ms */
	uint64_t told_ms;

	int64_t lost_before; /* the socket's count, when it began to lose */
	uint64_t lost_ms; /* when it last lost; 0: it does not */
};

static uint64_t now_ms(void)
{
	return clock_now_ms(&system_clock);
}

/* What was lost of them line_file_write() counts. */
static void write_lines(struct flows *flows)
{
	const uint64_t lost = flows->file.lost_in_all;

	if (flows->n_lines == 0)
		return;
	line_file_write(&flows->file, flows->lines, flows->length, flows->n_lines);
	flows->n_written += flows->n_lines - (flows->file.lost_in_all - lost);
	flows->length = flows->n_lines = 0;
	flows->has_changed = true;
}

/* Flows that do not leave the host with another address are not of the Internet: they are to the
 * host itself, or to another client. */
static bool is_ours(const struct flows *flows, const struct ended_flow *flow)
{
	return prefix_contains(flows->block, flow->source) &&
	       !prefix_contains(flows->block, flow->seen_as);
}

static void on_ended(void *context, const struct ended_flow *told)
{
	struct flows *flows = context;
	struct ended_flow flow = *told;

	if (!is_ours(flows, &flow))
		return;
	if (flow.end_ns == 0)
		flow.end_ns = clock_wall_ns();
	if (flows->length + FLOW_LINE_SIZE > LINES_SIZE)
		write_lines(flows);
	flows->length += flow_line_print(flows->lines + flows->length, &flow,
		owners_find(&flows->owners, flow.source, flow.start_ns, flow.end_ns));
	flows->n_lines++;
}

static void begin_outage(struct flows *flows)
{
	if (flows->lost_ms == 0)
		log_warning("the kernel tells of ended flows faster than they are written down: "
			    "what there is no room for is lost");
	flows->lost_ms = now_ms();
}

static void end_outage(struct flows *flows)
{
	const int64_t lost = conntrack_events_lost(FLOWS_FD_EVENTS);

	if (flows->lost_ms == 0 || now_ms() - flows->lost_ms < CALM_MS)
		return;
	log_warning("no more flows are lost: %lld are", (long long)(lost - flows->lost_before));
	flows->lost_before = lost;
	flows->lost_ms = 0;
}

/* Returns whether there may be more (1), 0, or -errno. */
static int read_events(struct flows *flows)
{
	int n;

	owners_look_at_clock(&flows->owners, clock_wall_ns());
	n = conntrack_events_read(FLOWS_FD_EVENTS, MANY_EVENTS, on_ended, flows);
	if (n == -ENOBUFS)
		begin_outage(flows);
	else if (n < 0)
		return n;
	write_lines(flows);
	flows->is_resting = n > 0 && n < MANY_EVENTS;
	return n == -ENOBUFS || n == MANY_EVENTS;
}

static int tell(struct flows *flows)
{
	const struct flows_message state = {
		.version = FLOWS_VERSION,
		.kind = FLOWS_STATE,
		.n_written = flows->n_written,
		.n_lost = flows->file.lost_in_all,
		.is_failing = flows->file.is_failing,
	};
	int error;

	if (!flows->has_changed || now_ms() - flows->told_ms < STATE_MS)
		return 0;
	error = flows_send(FLOWS_FD_BROKER, &state, -1);
	flows->told_ms = now_ms();
	flows->has_changed = error < 0;
	return error == -EAGAIN ? 0 : error;
}

static int begin_owner(struct flows *flows, const struct flows_message *message)
{
	return owners_begin(&flows->owners, message->inner,
		message->client == FLOWS_WIREGUARD ? "wireguard" : "ipip", &message->name,
		message->when_ns);
}

/* The descriptor is the file's from here on, where there is one. */
static int handle(struct flows *flows, const struct flows_message *message, int descriptor)
{
	switch (message->kind) {
	case FLOWS_FILE:
		write_lines(flows);
		line_file_use(&flows->file, descriptor);
		return 0;
	case FLOWS_BEGIN:
		return begin_owner(flows, message);
	case FLOWS_END:
		owners_end(&flows->owners, message->inner, message->when_ns);
		return 0;
	case FLOWS_TOLD:
		flows->is_told = true;
		return 0;
	default:
		return -EPROTO;
	}
}

/* All that it has said. Returns 0, or -errno when it is gone or makes no sense. */
static int hear_broker(struct flows *flows)
{
	int error = 0;

	for (unsigned int i = 0; i < MANY_MESSAGES && error == 0; i++) {
		struct flows_message message;
		int descriptor;

		error = flows_receive(FLOWS_FD_BROKER, &message, &descriptor);
		if (error == 0)
			error = handle(flows, &message, descriptor);
	}
	return error == -EAGAIN || error == -EINTR ? 0 : error;
}

static int wait_time(const struct flows *flows)
{
	if (flows->is_resting)
		return REST_MS;
	if (flows->has_changed || flows->lost_ms > 0)
		return STATE_MS;
	return log_say_lost() ? LOG_RETRY_MS : -1;
}

/* While it rests, or does not know whose they are, what comes waits in the socket. */
static int wait_for_sockets(const struct flows *flows)
{
	struct pollfd sockets[N_SOCKETS] = {
		[BROKER] = {.fd = FLOWS_FD_BROKER, .events = POLLIN},
		[EVENTS] = {.fd = flows->is_told && !flows->is_resting ? FLOWS_FD_EVENTS : -1,
			.events = POLLIN},
	};

	return poll(sockets, N_SOCKETS, wait_time(flows)) < 0 && errno != EINTR ? -errno : 0;
}

/* Until the broker hangs up. Returns 0 or -errno. */
static int serve(struct flows *flows)
{
	int error = 0;

	while (error == 0) {
		error = wait_for_sockets(flows);
		if (error == 0)
			error = hear_broker(flows);
		if (error == 0 && flows->is_told)
			error = read_events(flows);
		end_outage(flows);
		if (error >= 0)
			error = tell(flows);
	}
	return packet_is_hung_up(error) ? 0 : error;
}

/* What has come before the end of the server. */
static void write_the_rest(struct flows *flows)
{
	const uint64_t end_ms = now_ms() + LAST_MS;

	while (flows->is_told && read_events(flows) > 0 && now_ms() < end_ms)
		continue;
}

/* Waits for it. */
static int read_start(struct flows_message *start)
{
	struct pollfd broker = {.fd = FLOWS_FD_BROKER, .events = POLLIN};
	int passed, error = poll(&broker, 1, -1) < 0
				    ? -errno
				    : flows_receive(FLOWS_FD_BROKER, start, &passed);

	if (error == 0 && start->kind != FLOWS_START)
		error = -EPROTO;
	if (error < 0)
		return error;
	log_setup((enum log_level)start->log_level, (enum log_format)start->log_format, "flows");
	tzset();
	return close_range(FLOWS_FD_EVENTS + 1, ~0U, 0) < 0 ? -errno : 0;
}

static int start(struct flows *flows)
{
	static const struct flows_message ready = {.version = FLOWS_VERSION, .kind = FLOWS_READY};
	struct flows_message message;
	int error = read_start(&message);

	if (error < 0)
		return error;
	flows->block = (struct prefix){message.block, (uint8_t)message.block_length};
	flows->lines = malloc(LINES_SIZE);
	error = flows->lines ? owners_init(&flows->owners) : -ENOMEM;
	if (error == 0)
		error = sandbox_drop_privileges(message.user, message.group);
	if (error == 0)
		error = sandbox_filter_calls_of_flows(FLOWS_FD_BROKER, FLOWS_FD_EVENTS);
	if (error == 0)
		flows->lost_before = conntrack_events_lost(FLOWS_FD_EVENTS);
	return error == 0 ? flows_send(FLOWS_FD_BROKER, &ready, -1) : error;
}

int flows_main(void)
{
	struct flows flows = {.file = {.fd = -1, .what = "the flow log"}};
	int error;

	/* In ps -e, where the arguments are not shown. */
	prctl(PR_SET_NAME, "vprox-flows");
	log_open();
	signals_leave_to_parent();
	error = start(&flows);
	if (error < 0) {
		log_error("cannot write the flow log: %s", strerror(-error));
	} else {
		error = serve(&flows);
		write_the_rest(&flows);
	}
	if (error < 0)
		log_debug("ends: %s", strerror(-error));
	line_file_close(&flows.file);
	owners_free(&flows.owners);
	free(flows.lines);
	return error == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
