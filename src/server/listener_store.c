/* Has the listening sockets kept by the service manager or by a holder, and takes those that were.
 * Runs in the broker. */
#include "server/listener_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/notify.h"
#include "server/holder_link.h"
#include "server/listener_check.h"

enum {
	MANAGER_FD_FIRST = 3, /* SD_LISTEN_FDS_START */
	MANAGER_FDS_MAX = 65536,
};

/* Of what is kept: no colon may be in it. */
struct listener_name {
	char s[sizeof "listener-" + sizeof(struct ipv4_text) + sizeof "-65535"];
};

static struct listener_name name_of(struct ipv4 address, unsigned short port)
{
	struct listener_name name;

	snprintf(name.s, sizeof name.s, "listener-%s-%u", ipv4_text(address).s, port);
	return name;
}

static void tell_manager(const struct listener_store *store, const char *what, int descriptor,
	struct ipv4 address, unsigned short port)
{
	char state[sizeof "FDSTOREREMOVE=1\nFDNAME=" + sizeof(struct listener_name)];
	int error;

	snprintf(state, sizeof state, "%s=1\nFDNAME=%s", what, name_of(address, port).s);
	error = notify_send_descriptor(store->manager, state, descriptor);
	if (error < 0)
		log_warning("cannot tell the service manager what to keep: %s", strerror(-error));
}

/* A number from the environment; 0: none. */
static unsigned long read_number(const char *name, unsigned long max)
{
	const char *text = getenv(name);
	char *end;
	unsigned long number;

	if (!text || *text < '0' || *text > '9')
		return 0;
	number = strtoul(text, &end, 10);
	return *end == '\0' && number <= max ? number : 0;
}

/* What is no listener of ours goes at once. */
static void add_passed(struct listener_store *store, int fd)
{
	struct stored_listener *passed = &store->passed[store->n_passed];

	passed->fd = fd;
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return;
	if (listener_read_address(fd, &passed->address, &passed->port) < 0)
		close(fd);
	else
		store->n_passed++;
}

void listener_store_open(struct listener_store *store)
{
	unsigned long n = read_number("LISTEN_FDS", MANAGER_FDS_MAX);
	bool are_ours = (pid_t)read_number("LISTEN_PID", INT32_MAX) == getpid();

	*store = (struct listener_store){.manager = notify_open(), .earlier.fd = -1};
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDNAMES");
	if (!are_ours || n == 0)
		return;
	store->passed = calloc(n, sizeof *store->passed);
	for (unsigned long i = 0; i < n && store->passed; i++)
		add_passed(store, MANAGER_FD_FIRST + (int)i);
}

/* What was started anew has none. */
static void hold_all(void *context)
{
	struct listener_store *store = context;

	for (size_t i = 0; i < store->n_kept; i++)
		holder_link_hold(store->holder, store->kept[i].fd, store->kept[i].address,
			store->kept[i].port);
}

static void on_holder_ready(void *context)
{
	struct listener_store *store = context;

	earlier_holder_end(&store->earlier);
}

bool listener_store_has_holder(const struct listener_store *store)
{
	return store->manager < 0;
}

void listener_store_start(
	struct listener_store *store, struct event_base *base, uint32_t user, uint32_t group)
{
	const struct holder_link_config config = {user, group, hold_all, on_holder_ready, store};
	int error;

	earlier_holder_find(&store->earlier);
	if (!listener_store_has_holder(store))
		return;
	error = holder_link_new(base, &config, &store->holder);
	if (error < 0)
		log_warning("clients will be refused while no server runs: cannot start a holder "
			    "of the listening sockets: %s",
			strerror(-error));
}

/* Takes it out of a list. Returns its descriptor, or -ENOENT. */
static int take_from(
	struct stored_listener *list, size_t *n, struct ipv4 address, unsigned short port)
{
	for (size_t i = 0; i < *n; i++) {
		int fd = list[i].fd;

		if (!ipv4_equal(list[i].address, address) || list[i].port != port)
			continue;
		list[i] = list[--*n];
		return fd;
	}
	return -ENOENT;
}

/* Of whoever has kept one. */
static int take_one(struct listener_store *store, struct ipv4 address, unsigned short port)
{
	int fd = take_from(store->passed, &store->n_passed, address, port);

	return fd >= 0 ? fd : earlier_holder_take(&store->earlier, address, port);
}

/* For all who have copies of it, at once, whenever they come to close theirs: tcp_shutdown() and
 * inet_shutdown() in net/ipv4/. */
static void stop_listening(int fd)
{
	shutdown(fd, SHUT_RDWR);
}

static void drop_everywhere(struct listener_store *store, struct ipv4 address, unsigned short port)
{
	earlier_holder_drop(&store->earlier, address, port);
	listener_store_drop(store, address, port);
}

int listener_store_take(
	struct listener_store *store, int reference, struct ipv4 address, unsigned short port)
{
	int fd;

	while ((fd = take_one(store, address, port)) >= 0) {
		const char *what;
		int error = listener_check(fd, reference, address, port, &what);

		if (error == 0) {
			log_debug("%s, TCP port %u: goes on listening", ipv4_text(address).s, port);
			return fd;
		}
		log_warning("%s, TCP port %u: the listening socket of the server before is not as "
			    "it should be (%s); opening another",
			ipv4_text(address).s, port, what);
		stop_listening(fd);
		close(fd);
		drop_everywhere(store, address, port);
	}
	return fd;
}

int listener_store_keep(
	struct listener_store *store, int fd, struct ipv4 address, unsigned short port)
{
	struct stored_listener *kept =
		reallocarray(store->kept, store->n_kept + 1, sizeof *store->kept);

	if (!kept)
		return -ENOMEM;
	store->kept = kept;
	kept[store->n_kept++] = (struct stored_listener){fd, address, port};
	if (store->manager >= 0)
		tell_manager(store, "FDSTORE", fd, address, port);
	else if (store->holder)
		holder_link_hold(store->holder, fd, address, port);
	return 0;
}

void listener_store_drop(struct listener_store *store, struct ipv4 address, unsigned short port)
{
	take_from(store->kept, &store->n_kept, address, port);
	if (store->manager >= 0)
		tell_manager(store, "FDSTOREREMOVE", -1, address, port);
	else if (store->holder)
		holder_link_drop(store->holder, address, port);
}

static void close_passed(struct listener_store *store)
{
	while (store->n_passed > 0) {
		const struct stored_listener passed = store->passed[--store->n_passed];

		stop_listening(passed.fd);
		close(passed.fd);
		listener_store_drop(store, passed.address, passed.port);
	}
}

void listener_store_settle(struct listener_store *store)
{
	for (size_t i = 0; i < store->n_passed; i++)
		log_info("%s, TCP port %u: is listened at no longer",
			ipv4_text(store->passed[i].address).s, store->passed[i].port);
	close_passed(store);
	/* Else ours is to be there first. */
	if (store->manager >= 0)
		earlier_holder_end(&store->earlier);
}

void listener_store_retire(struct listener_store *store)
{
	if (store->holder)
		holder_link_retire(store->holder);
}

void listener_store_abandon(struct listener_store *store)
{
	close_passed(store);
	earlier_holder_end(&store->earlier);
	if (store->holder)
		holder_link_end(store->holder);
	while (store->n_kept > 0) {
		const struct stored_listener kept = store->kept[0];

		stop_listening(kept.fd);
		listener_store_drop(store, kept.address, kept.port);
	}
}

void listener_store_close(struct listener_store *store)
{
	for (size_t i = 0; i < store->n_passed; i++)
		close(store->passed[i].fd);
	if (store->manager >= 0)
		close(store->manager);
	earlier_holder_leave(&store->earlier);
	holder_link_free(store->holder);
	free(store->passed);
	free(store->kept);
	*store = (struct listener_store){.manager = -1, .earlier.fd = -1};
}
