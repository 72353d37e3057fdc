/*
 * Starts the process that serves metrics, confines it, and asks the broker for whoever asks it: the
 * main file of this process, which has one thread.
 *
 * Whatever comes to its address, the broker is asked twice a second at the most, and nobody waits
 * for it longer than ANSWER_MS.
 */
#include "metrics/metrics.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/signals.h"
#include "base/text_stream.h"
#include "ipc/metrics_process.h"
#include "ipc/packet.h"
#include "ipc/report.h"
#include "metrics/exposition.h"
#include "metrics/scrape.h"

enum {
	MAX_SCRAPES = 32,
	BROKER = 0, /* places in the table of sockets */
	LISTENER = 1,
	FIRST_SCRAPE = 2,
	FRESH_MS = 500, /* so long a page is good for all */
	ANSWER_MS = 3000, /* so long the broker is waited for */
	TICK_MS = 250, /* of the deadlines, while there is one */
};

struct metrics {
	struct page *page; /* the latest; NULL: none yet */
	uint64_t page_ms; /* when it came */
	uint64_t asked_ms; /* when the broker was asked; 0: it does not owe an answer */
	size_t n;
	struct scrape *scrapes[MAX_SCRAPES]; /* in the order in which they have come */
};

static uint64_t now_ms(void)
{
	return clock_now_ms(&system_clock);
}

static void remove_scrape(struct metrics *metrics, size_t i)
{
	scrape_free(metrics->scrapes[i]);
	metrics->n--;
	memmove(metrics->scrapes + i, metrics->scrapes + i + 1,
		(metrics->n - i) * sizeof *metrics->scrapes);
}

/* The report of NULL: the broker has not answered. */
static struct page *print(const struct report *report)
{
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		return NULL;
	if (report)
		exposition_print(report, out);
	else
		exposition_print_unanswered(out);
	return text_stream_close(out, &text) ? page_new(text, length) : NULL;
}

static void answer_all(struct metrics *metrics, struct page *page)
{
	for (size_t i = 0; i < metrics->n; i++)
		if (metrics->scrapes[i]->phase == SCRAPE_ASKING)
			scrape_answer(metrics->scrapes[i], page, now_ms());
}

static void give_up_broker(struct metrics *metrics)
{
	struct page *page = print(NULL);

	answer_all(metrics, page);
	page_drop(page);
}

static bool is_late(const struct metrics *metrics)
{
	return metrics->asked_ms != 0 && now_ms() - metrics->asked_ms >= ANSWER_MS;
}

static bool has_fresh_page(const struct metrics *metrics)
{
	return metrics->page && now_ms() - metrics->page_ms < FRESH_MS;
}

static int ask_broker(struct metrics *metrics)
{
	static const struct metrics_message ask = {.version = METRICS_VERSION, .kind = METRICS_ASK};
	int error = metrics_send(METRICS_FD_BROKER, &ask, -1);

	if (error == 0)
		metrics->asked_ms = now_ms();
	return error;
}

/* Returns 0, or -errno when the broker cannot be asked. */
static int serve_asking(struct metrics *metrics)
{
	bool asks = false;

	for (size_t i = 0; i < metrics->n; i++)
		asks = asks || metrics->scrapes[i]->phase == SCRAPE_ASKING;
	if (!asks)
		return 0;
	if (has_fresh_page(metrics))
		answer_all(metrics, metrics->page);
	else if (is_late(metrics))
		give_up_broker(metrics);
	else if (metrics->asked_ms == 0)
		return ask_broker(metrics);
	return 0;
}

/* Reads all of it. Returns 0 or -errno; -EPROTO if it is not as long as was said. */
static int read_file(int fd, char *data, size_t length)
{
	for (size_t done = 0; done < length;) {
		ssize_t n = read(fd, data + done, length - done);

		if (n < 0)
			return -errno;
		if (n == 0)
			return -EPROTO;
		done += (size_t)n;
	}
	return 0;
}

static int use_report(struct metrics *metrics, int fd, size_t length)
{
	auto_free char *data = malloc(length + 1);
	struct report report;
	int error = data ? read_file(fd, data, length) : -ENOMEM;

	if (error == 0)
		error = report_decode(data, length, &report);
	if (error < 0)
		return error;
	page_drop(metrics->page);
	metrics->page = print(&report);
	metrics->page_ms = now_ms();
	report_free(&report);
	answer_all(metrics, metrics->page);
	return 0;
}

/* Returns 0, or -errno when the broker is gone or makes no sense. */
static int hear_broker(struct metrics *metrics)
{
	struct metrics_message message;
	auto_close int fd = -1;
	int error = metrics_receive(METRICS_FD_BROKER, &message, &fd);

	if (error < 0)
		return error == -EAGAIN || error == -EINTR ? 0 : error;
	if (message.kind != METRICS_REPORT)
		return -EPROTO;
	metrics->asked_ms = 0;
	return use_report(metrics, fd, message.length);
}

/* One too many: the oldest goes, so that who holds places holds nobody up. */
static void make_room(struct metrics *metrics)
{
	if (metrics->n == MAX_SCRAPES)
		remove_scrape(metrics, 0);
}

static void let_in(struct metrics *metrics)
{
	int fd = accept4(METRICS_FD_LISTENER, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct scrape *scrape;

	if (fd < 0)
		return;
	make_room(metrics);
	scrape = scrape_new(fd, now_ms());
	if (scrape)
		metrics->scrapes[metrics->n++] = scrape;
	else
		close(fd);
}

/* From the last to the first, as those behind one that is removed move up. */
static void serve_scrapes(struct metrics *metrics, const struct pollfd *sockets, size_t n)
{
	const uint64_t now = now_ms();

	for (size_t i = n; i-- > 0;) {
		struct scrape *scrape = metrics->scrapes[i];
		short events = sockets[FIRST_SCRAPE + i].revents;

		if (scrape->phase == SCRAPE_ASKING && (events & (POLLERR | POLLHUP)) != 0)
			scrape->phase = SCRAPE_OVER;
		else if (events != 0)
			scrape_advance(scrape, now);
		if (scrape->phase == SCRAPE_OVER || now >= scrape->end_ms)
			remove_scrape(metrics, i);
	}
}

static size_t list_sockets(const struct metrics *metrics, struct pollfd *sockets)
{
	sockets[BROKER] = (struct pollfd){.fd = METRICS_FD_BROKER, .events = POLLIN};
	sockets[LISTENER] = (struct pollfd){.fd = METRICS_FD_LISTENER, .events = POLLIN};
	for (size_t i = 0; i < metrics->n; i++)
		sockets[FIRST_SCRAPE + i] = (struct pollfd){.fd = metrics->scrapes[i]->fd,
			.events = scrape_events(metrics->scrapes[i])};
	return FIRST_SCRAPE + metrics->n;
}

static int wait_time(const struct metrics *metrics)
{
	if (metrics->n > 0)
		return TICK_MS;
	return log_say_lost() ? LOG_RETRY_MS : -1;
}

/* Until the broker hangs up. Returns 0 or -errno. */
static int serve(struct metrics *metrics)
{
	struct pollfd sockets[FIRST_SCRAPE + MAX_SCRAPES];
	int error = 0;

	while (error == 0) {
		const size_t n = list_sockets(metrics, sockets);

		if (poll(sockets, n, wait_time(metrics)) < 0) {
			if (errno != EINTR)
				return -errno;
			continue;
		}
		serve_scrapes(metrics, sockets, n - FIRST_SCRAPE);
		if (sockets[LISTENER].revents != 0)
			let_in(metrics);
		if (sockets[BROKER].revents != 0)
			error = hear_broker(metrics);
		if (error == 0)
			error = serve_asking(metrics);
		if (error == -EAGAIN)
			error = 0;
	}
	return packet_is_hung_up(error) ? 0 : error;
}

/* Waits for it. */
static int read_start(struct metrics_message *start)
{
	struct pollfd broker = {.fd = METRICS_FD_BROKER, .events = POLLIN};
	int passed, error = poll(&broker, 1, -1) < 0
				    ? -errno
				    : metrics_receive(METRICS_FD_BROKER, start, &passed);

	if (error == 0 && start->kind != METRICS_START)
		error = -EPROTO;
	if (error < 0)
		return error;
	log_setup((enum log_level)start->log_level, (enum log_format)start->log_format, "metrics");
	tzset();
	return close_range(METRICS_FD_LISTENER + 1, ~0U, 0) < 0 ? -errno : 0;
}

static int start(void)
{
	static const struct metrics_message ready = {
		.version = METRICS_VERSION, .kind = METRICS_READY};
	struct metrics_message message;
	int error = read_start(&message);

	if (error == 0)
		error = sandbox_drop_privileges(message.user, message.group);
	if (error == 0)
		error = sandbox_filter_calls(METRICS_FD_BROKER);
	return error == 0 ? metrics_send(METRICS_FD_BROKER, &ready, -1) : error;
}

int metrics_main(void)
{
	struct metrics metrics = {0};
	int error;

	/* In ps -e, where the arguments are not shown. */
	prctl(PR_SET_NAME, "vprox-metrics");
	log_open();
	signals_leave_to_parent();
	error = start();
	if (error < 0)
		log_error("cannot serve metrics: %s", strerror(-error));
	else
		error = serve(&metrics);
	if (error < 0)
		log_debug("ends: %s", strerror(-error));
	while (metrics.n > 0)
		remove_scrape(&metrics, 0);
	page_drop(metrics.page);
	return error == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
