/*
 * Starts the process that fetches an issuer's keys, confines it, and has it fetch them when it is
 * time, or when the broker wants it: the main file of such a process, which has one thread. It has
 * no secret, a socket to the broker, and one to a child that looks up names.
 */
#include "oidc/oidc.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>
#include <openssl/ssl.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/signals.h"
#include "http/tls_client.h"
#include "http/tls_error.h"
#include "ipc/issuer_fetch.h"
#include "ipc/names.h"
#include "ipc/packet.h"
#include "oidc/fetch.h"

enum {
	/* As the program that had this first keeps them. */
	REFRESH_MS = 5 * 60 * 1000,
	/* After a try that has failed: twice as long each time. */
	FIRST_RETRY_MS = 1000,
	LAST_RETRY_MS = 16 * 1000,
	NAME_SIZE = 24,
};

struct fetcher {
	char name[NAME_SIZE]; /* "oidc 0", for the log */
	struct issuer_fetch_config config;
	SSL_CTX *tls;
	struct names *names;
	unsigned int retry_ms; /* until the next try, when this one fails */
	struct issuer_fetched fetched;
};

/* Returns when to try again, in ms from now, or -errno. */
static int fetch(struct fetcher *fetcher)
{
	int wait_ms = REFRESH_MS, error;

	fetch_keys(fetcher->tls, fetcher->names, fetcher->config.url, &fetcher->fetched);
	if (fetcher->fetched.n > 0) {
		fetcher->retry_ms = FIRST_RETRY_MS;
	} else {
		wait_ms = (int)fetcher->retry_ms;
		if (fetcher->retry_ms < LAST_RETRY_MS)
			fetcher->retry_ms *= 2;
	}
	error = issuer_fetch_send(ISSUER_FETCH_FD_BROKER, &fetcher->fetched);
	return error < 0 ? error : wait_ms;
}

/* Until the time is over, or the broker wants something. Returns 0, or -errno when it is gone. */
static int wait_for_order(int wait_ms)
{
	uint64_t end_ms = clock_now_ms(&system_clock) + (uint64_t)wait_ms, now_ms;
	struct pollfd broker = {.fd = ISSUER_FETCH_FD_BROKER, .events = POLLIN};

	while ((now_ms = clock_now_ms(&system_clock)) < end_ms) {
		int left_ms = (int)(end_ms - now_ms), error;

		if (log_say_lost() && left_ms > LOG_RETRY_MS)
			left_ms = LOG_RETRY_MS;
		if (poll(&broker, 1, left_ms) <= 0)
			continue;
		error = issuer_fetch_receive_order(ISSUER_FETCH_FD_BROKER);
		if (error != -EAGAIN && error != -EINTR)
			return error;
	}
	return 0;
}

/* Until the broker hangs up. Returns 0 or -errno. */
static int serve(struct fetcher *fetcher)
{
	int error;

	do {
		int wait_ms = fetch(fetcher);

		error = wait_ms < 0 ? wait_ms : wait_for_order(wait_ms);
	} while (error == 0);
	return packet_is_hung_up(error) ? 0 : error;
}

static int read_config(struct fetcher *fetcher)
{
	struct pollfd broker = {.fd = ISSUER_FETCH_FD_BROKER, .events = POLLIN};
	struct issuer_fetch_config *config = &fetcher->config;
	int error = poll(&broker, 1, -1) < 0
			    ? -errno
			    : issuer_fetch_receive_config(ISSUER_FETCH_FD_BROKER, config);

	if (error < 0) {
		log_error("cannot read the configuration: %s; this is started by the server",
			strerror(-error));
		return error;
	}
	snprintf(fetcher->name, sizeof fetcher->name, "oidc %u", config->number);
	log_setup((enum log_level)config->log_level, (enum log_format)config->log_format,
		fetcher->name);
	return close_range(ISSUER_FETCH_FD_AUTHORITIES + 1, ~0U, 0) < 0 ? -errno : 0;
}

/* What is opened or seeded late would be behind the filter. */
static int prepare(struct fetcher *fetcher)
{
	const char *fault;

	tzset();
	json_object_seed(0);
	/* for no server yet */
	fetcher->tls = tls_client_new(ISSUER_FETCH_FD_AUTHORITIES, "", &fault);
	if (!fetcher->tls) {
		log_error("there is no certificate of an authority in the file for issuers: name "
			  "one in PEM with --oidc-ca");
		return -EINVAL;
	}
	tls_error();
	return names_new(fetcher->config.user, fetcher->config.group, ISSUER_FETCH_FD_BROKER,
		&fetcher->names);
}

static int lock_up(const struct fetcher *fetcher)
{
	int error = sandbox_drop_privileges(fetcher->config.user, fetcher->config.group);

	if (error < 0)
		return error;
	error = sandbox_filter_calls_of_asker();
	if (error < 0)
		log_error("cannot filter system calls: %s", strerror(-error));
	return error;
}

static int start(struct fetcher *fetcher)
{
	int error = read_config(fetcher);

	if (error == 0)
		error = prepare(fetcher);
	return error < 0 ? error : lock_up(fetcher);
}

int oidc_main(void)
{
	struct fetcher *fetcher = calloc(1, sizeof *fetcher);
	int error = fetcher ? 0 : -ENOMEM;

	/* In ps -e, where the arguments are not shown. */
	prctl(PR_SET_NAME, "vprox-oidc");
	log_open();
	signals_leave_to_parent();
	if (error == 0) {
		fetcher->retry_ms = FIRST_RETRY_MS;
		error = start(fetcher);
	}
	if (error == 0)
		error = serve(fetcher);
	if (error < 0)
		log_debug("ends: %s", strerror(-error));
	if (fetcher) {
		names_free(fetcher->names);
		SSL_CTX_free(fetcher->tls);
	}
	free(fetcher);
	return error == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
