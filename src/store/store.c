/*
 * Starts a store, confines it, tells the broker what is stored, and then writes what the broker
 * says: the main file of that process, which has one thread.
 *
 * Whatever has come while the last transaction was written is the next one, so that many grants
 * cost one write to the disk; under load it waits for more. Orders that cannot be written are kept
 * and tried again, and no others are read meanwhile: the broker keeps them.
 */
#include "store/store.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sandbox.h"
#include "base/signals.h"
#include "ipc/packet.h"
#include "ipc/storing.h"
#include "store/broker_socket.h"
#include "store/claim_orders.h"
#include "store/database.h"
#include "store/fleet.h"
#include "store/fleet_setup.h"
#include "store/folder.h"
#include "store/gather.h"
#include "store/renumber.h"

enum {
	BATCH = 256, /* orders in one transaction */
	RETRY_MS = 1000,
};

static const char file_name[] = STORE_FILE;

struct store {
	struct database *database;
	struct store_config config;
	struct storing_message orders[BATCH];
	size_t n_orders;
	bool cannot_write; /* and that was said */
	uint64_t n_refused; /* orders that were left out */
	size_t n_last; /* how many the last transaction had, ... */
	uint64_t took_us; /* ... and how long it took, etcd's too */

	struct fleet *fleet; /* NULL: what is in the file is stored */
	uint64_t written, told; /* the last orders that are in the file, and that the broker knows
				   to be stored */
	struct stored_state state; /* what the broker knows of it */
	int timeout_ms; /* when there is something to be done besides orders; -1: never */
};

/* What a fleet's host waits before it looks again whether there is something to write, and who
 * holds its addresses. */
enum {
	IDLE_MS = 2000,
};

/* The file */

static void say_once(struct store *store, bool cannot_write)
{
	if (cannot_write && !store->cannot_write)
		log_error("cannot write %s/%s, will try again every second: %s",
			store->config.folder, file_name, database_error(store->database));
	else if (!cannot_write && store->cannot_write)
		log_info("%s/%s can be written again", store->config.folder, file_name);
	store->cannot_write = cannot_write;
}

static void close_database(struct store *store)
{
	if (store->fleet)
		fleet_close_copy(store->fleet);
	database_close(store->database);
	store->database = NULL;
}

static int reopen(struct store *store)
{
	int error;

	close_database(store);
	error = database_open(file_name, &store->database);
	if (error == 0 && store->fleet)
		error = fleet_open_copy(store->fleet, store->database);
	return error;
}

static int replace_damaged(struct store *store)
{
	const struct folder_name aside = folder_name_aside(file_name);
	int error;

	log_error("%s/%s is damaged, and is set aside as %s: %s", store->config.folder, file_name,
		aside.s, database_error(store->database));
	close_database(store);
	error = folder_set_aside(file_name, &aside);
	if (error < 0)
		log_error("cannot set it aside: %s", strerror(-error));
	return error < 0 ? error : reopen(store);
}

/* Until it can be opened, or the broker has gone. What is wrong may pass: a disk that is full. */
static int open_database(struct store *store)
{
	int error = reopen(store);

	while (error < 0) {
		if (error == -EBADMSG)
			error = replace_damaged(store);
		if (error == 0)
			break;
		say_once(store, true);
		poll(NULL, 0, RETRY_MS);
		if (broker_socket_has_hung_up())
			return -EPIPE;
		error = reopen(store);
	}
	say_once(store, false);
	return 0;
}

static int tell_rows(struct store *store)
{
	size_t n_invalid;
	int error = database_load(store->database, broker_socket_tell_row, NULL, &n_invalid);

	if (n_invalid > 0)
		log_warning("%s/%s: %zu rows make no sense, and are ignored", store->config.folder,
			file_name, n_invalid);
	return error;
}

static int tell_what_is_stored(struct store *store)
{
	int error = tell_rows(store);

	if (error == -EBADMSG)
		error = replace_damaged(store);
	if (error == 0)
		error = broker_socket_tell_event(STORING_LOADED, 0);
	/* The broker may have been told by the store before that much is on the disk. */
	return error == 0 && database_is_new(store->database)
		       ? broker_socket_tell_event(STORING_LOST, 0)
		       : error;
}

/* Writing */

/* Amid the work, the broker has it all: it tells it anew. */
static int start_over(struct store *store)
{
	store->n_orders = 0;
	return broker_socket_tell_event(STORING_LOST, 0);
}

static int start_over_without_damaged(struct store *store)
{
	int error = replace_damaged(store);

	return error < 0 ? error : start_over(store);
}

static void on_refused(void *context, const struct storing_message *order)
{
	struct store *store = context;
	const struct stored_peer *peer = &order->peer;
	const bool is_peer = order->operation != STORING_PUT_ENDPOINT;

	store->n_refused++;
	log_error("%s/%s does not take what endpoint %s has promised about %s: %s; it is left out, "
		  "%llu so far",
		store->config.folder, file_name,
		ipv4_text(is_peer ? peer->bind : order->endpoint.bind).s,
		is_peer && peer->inner.value != 0 ? ipv4_text(peer->inner).s : "itself",
		database_error(store->database), (unsigned long long)store->n_refused);
}

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static int write_orders(struct store *store)
{
	uint64_t last = store->orders[store->n_orders - 1].sequence;
	size_t n;
	int error;

	if (store->fleet)
		fleet_prepare(store->fleet, store->orders, store->n_orders);
	error = database_write(store->database, store->orders, store->n_orders, on_refused, store);
	if (error == -EBADMSG)
		return start_over_without_damaged(store);
	say_once(store, error < 0);
	if (error < 0)
		return 0;
	n = store->n_orders;
	store->n_orders = 0;
	store->written = last;
	error = claim_orders_answer(store->database, store->fleet, store->orders, n);
	if (error < 0 || store->fleet)
		return error;
	return broker_socket_tell_event(STORING_DURABLE, last);
}

/* What is in the copy is stored when etcd has it. */
static int send_to_fleet(struct store *store)
{
	bool is_stored, more;
	int error = fleet_send(store->fleet, store->written, &is_stored, &more);

	store->timeout_ms = error < 0 ? RETRY_MS : more ? 0 : IDLE_MS;
	if (packet_is_hung_up(error))
		return error;
	if (error < 0 || !is_stored || store->written == store->told)
		return 0;
	store->told = store->written;
	return broker_socket_tell_event(STORING_DURABLE, store->told);
}

static int tell_state(struct store *store, bool always)
{
	struct storing_message message = {.version = STORING_VERSION, .operation = STORING_STATE};

	if (store->fleet)
		message.state = *fleet_health(store->fleet);
	message.state.n_refused = store->n_refused;
	if (!always && memcmp(&message.state, &store->state, sizeof store->state) == 0)
		return 0;
	store->state = message.state;
	return broker_socket_tell(&message);
}

/* A file that was read-only stays so for who has it open. */
static int write_again(struct store *store)
{
	int error;

	poll(NULL, 0, RETRY_MS);
	error = reopen(store);
	if (error == -EBADMSG)
		return start_over_without_damaged(store);
	/* Somebody has removed it. */
	if (error == 0 && database_is_new(store->database))
		return start_over(store);
	return error < 0 ? 0 : write_orders(store);
}

static bool is_full(const struct store *store)
{
	return store->n_orders == BATCH ||
	       (store->n_orders > 0 && claim_orders_is_claim(&store->orders[store->n_orders - 1]));
}

/* Returns 0 when there are no more for now, or as many as one transaction takes: what comes behind
 * a claim is written when it is done, since that puts all there is in place of what was here. */
static int read_orders(struct store *store)
{
	int error = 0;

	while (error == 0 && !is_full(store)) {
		error = storing_receive_order(STORE_FD_BROKER, &store->orders[store->n_orders]);
		store->n_orders += error == 0;
	}
	return error == -EAGAIN || error == -EINTR ? 0 : error;
}

/* What has come meanwhile is in the same transaction. Returns as read_orders(). */
static int gather(struct store *store)
{
	struct timespec wait = {0};

	if (store->n_orders == 0 || is_full(store))
		return 0;
	wait.tv_nsec = (long)gather_us(store->n_last, store->took_us,
			       store->orders[store->n_orders - 1].more_come) *
		       1000;
	if (wait.tv_nsec == 0)
		return 0;
	nanosleep(&wait, NULL);
	return read_orders(store);
}

/* Until the broker hangs up. Returns 0 or -errno. */
static int serve(struct store *store)
{
	int error = tell_state(store, true), end = 0;
	uint64_t start_us;

	while (error == 0 && end == 0) {
		error = broker_socket_wait(POLLIN, store->timeout_ms);
		if (error == 0)
			end = read_orders(store);
		if (error == 0 && end == 0)
			end = gather(store);
		start_us = now_us();
		store->n_last = store->n_orders;
		/* What came before the end is written too. */
		if (error == 0 && store->n_orders > 0)
			error = write_orders(store);
		while (error == 0 && store->n_orders > 0 && end == 0 &&
			!broker_socket_has_hung_up())
			error = write_again(store);
		if (error == 0 && end == 0 && store->fleet)
			error = send_to_fleet(store);
		store->took_us = now_us() - start_us;
		if (error == 0 && end == 0)
			error = tell_state(store, false);
	}
	if (store->n_orders > 0)
		log_error("%zu changes are lost: they could not be written to %s/%s",
			store->n_orders, store->config.folder, file_name);
	error = error == 0 ? end : error;
	return packet_is_hung_up(error) ? 0 : error;
}

/* Start */

static int read_config(struct store *store)
{
	int error = broker_socket_wait(POLLIN, -1);

	if (error == 0)
		error = storing_receive_config(STORE_FD_BROKER, &store->config);
	/* The broker says it, which knows what to do. */
	if (error == -EPROTONOSUPPORT)
		storing_send_version(STORE_FD_BROKER);
	else if (error < 0)
		log_error("cannot read the configuration: %s; a store is started by the server",
			strerror(-error));
	if (error < 0)
		return error;
	log_setup((enum log_level)store->config.log_level,
		(enum log_format)store->config.log_format, "store");
	tzset();
	return close_range(STORE_FD_BROKER + 1, ~0U, 0) < 0 ? -errno : 0;
}

/* From there on names are enough: the folder's parents are closed to our user. */
static int enter_folder(const struct store *store)
{
	umask(077);
	if (chdir(store->config.folder) == 0)
		return folder_use_working_directory();
	log_error("cannot enter %s: %s", store->config.folder, strerror(errno));
	return -errno;
}

static int lock_up(const struct store *store)
{
	int error = sandbox_drop_privileges(store->config.user, store->config.group);

	if (error < 0)
		return error;
	error = store->fleet ? sandbox_filter_calls_of_fleet_store()
			     : sandbox_filter_calls_of_store();
	if (error < 0)
		log_error("cannot filter system calls: %s", strerror(-error));
	return error;
}

static int start(struct store *store)
{
	int error = read_config(store);

	store->timeout_ms = -1;
	if (error == 0 && store->config.etcd.members[0] != '\0')
		error = fleet_new(
			&store->config, STORE_FD_BROKER, broker_socket_tell, &store->fleet);
	if (error == 0)
		error = enter_folder(store);
	return error == 0 ? lock_up(store) : error;
}

/* For who looks whether all agrees: another store may be at work. */
static int only_tell(struct store *store)
{
	int error = database_open_to_read(file_name, &store->database);

	if (error == 0)
		error = tell_rows(store);
	if (error == 0)
		return broker_socket_tell_event(STORING_LOADED, 0);
	log_error("cannot read %s/%s: %s", store->config.folder, file_name,
		database_error(store->database));
	return error;
}

/* There is no server, and the file is as it is. */
static int renumber(struct store *store)
{
	int error = database_open(file_name, &store->database);

	if (error == 0)
		error = renumber_serve(store->database, broker_socket_tell);
	if (error < 0)
		log_error("cannot write %s/%s: %s", store->config.folder, file_name,
			database_error(store->database));
	return error;
}

static int serve_server(struct store *store)
{
	int error = open_database(store);

	if (error == 0 && store->fleet) {
		store->timeout_ms = 0;
		error = fleet_join(store->fleet);
	}
	if (error == 0)
		error = tell_what_is_stored(store);
	return error == 0 ? serve(store) : error;
}

static int work(struct store *store)
{
	switch ((enum store_task)store->config.task) {
	case STORE_TELLS:
		return only_tell(store);
	case STORE_RENUMBERS:
		return renumber(store);
	default:
		return serve_server(store);
	}
}

int store_main(void)
{
	struct store *store = calloc(1, sizeof *store);
	int error = -ENOMEM;

	log_open();
	signals_leave_to_parent();
	/* A limit on the size of files is an error that can be told. */
	signal(SIGXFSZ, SIG_IGN);
	if (store)
		error = start(store);
	if (error == 0)
		error = work(store);
	if (error < 0)
		log_debug("ends: %s", strerror(-error));
	if (store) {
		close_database(store);
		fleet_free(store->fleet);
	}
	free(store);
	return error == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
