/* Starts a store that only tells what is stored, and listens to it. Runs in `vprox check`. */
#include "check/promised_holders.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/process.h"
#include "base/program.h"
#include "ipc/packet.h"

enum {
	READ_MS = 10000, /* 50,000 peers take well under a second */
	END_MS = 1000,
};

/* As the one who made the file, so that what SQLite makes beside it is the server's store's. */
static int describe(struct store_config *config, bool *is_there)
{
	struct stat file;

	*is_there = lstat(STORE_FOLDER "/" STORE_FILE, &file) == 0;
	if (!*is_there)
		return errno == ENOENT ? 0 : -errno;
	*config = (struct store_config){
		.version = STORING_VERSION,
		.user = file.st_uid,
		.group = file.st_gid,
		.log_level = LOG_LEVEL_WARNING,
		.log_format = LOG_FORMAT_PLAIN,
		.only_tells = 1,
		.folder = STORE_FOLDER,
	};
	return 0;
}

static int spawn(int its_end, pid_t *pid)
{
	char path[PATH_MAX];
	char *const arguments[] = {path, NULL};
	char *environment[PROGRAM_ENVIRONMENT_SIZE];
	posix_spawn_file_actions_t actions;
	int error = program_find("vprox-store", path);

	if (error < 0) {
		log_error("cannot start %s: %s", path, strerror(-error));
		return error;
	}
	program_pick_environment(environment);
	if (posix_spawn_file_actions_init(&actions) != 0)
		return -ENOMEM;
	error = posix_spawn_file_actions_adddup2(&actions, its_end, STORE_FD_BROKER);
	if (error == 0)
		error = posix_spawn(pid, path, &actions, NULL, arguments, environment);
	posix_spawn_file_actions_destroy(&actions);
	if (error != 0)
		log_error("cannot start %s: %s", path, strerror(error));
	return -error;
}

static int keep_endpoint(struct promises_read *promises, const struct stored_endpoint *endpoint)
{
	struct stored_endpoint *grown =
		reallocarray(promises->endpoints, promises->n_endpoints + 1, sizeof *grown);

	if (!grown)
		return -ENOMEM;
	promises->endpoints = grown;
	grown[promises->n_endpoints] = *endpoint;
	key_wipe(&grown[promises->n_endpoints++].private_key);
	return 0;
}

static int keep_peer(struct promises_read *promises, const struct stored_peer *peer)
{
	const struct holder holder = {
		.bind = peer->bind,
		.peer = {.kind = peer->kind == STORED_WIREGUARD ? PEER_WIREGUARD : PEER_IPIP,
			.inner = peer->inner,
			.key = peer->key,
			.remote = peer->remote},
	};

	return holders_add(&promises->holders, &holder);
}

/* Returns 0 or -errno; *ended: that was all. */
static int handle(
	struct promises_read *promises, const struct storing_message *message, bool *ended)
{
	switch (message->operation) {
	case STORING_ENDPOINT:
		return keep_endpoint(promises, &message->endpoint);
	case STORING_PEER:
		return keep_peer(promises, &message->peer);
	case STORING_LOADED:
		*ended = true;
		return 0;
	default:
		return 0;
	}
}

static int receive(struct promises_read *promises, int fd, bool *ended)
{
	struct storing_message message;
	int error = storing_receive_report(fd, &message);

	if (error == 0)
		error = handle(promises, &message, ended);
	explicit_bzero(&message, sizeof message);
	return error == -EAGAIN || error == -EINTR ? 0 : error;
}

static int listen_to(struct promises_read *promises, int fd)
{
	const uint64_t deadline_ms = clock_now_ms(&system_clock) + READ_MS;
	bool ended = false;
	int error = 0;

	while (error == 0 && !ended) {
		struct pollfd readable = {.fd = fd, .events = POLLIN};
		uint64_t now_ms = clock_now_ms(&system_clock);

		if (now_ms >= deadline_ms)
			return -ETIMEDOUT;
		if (poll(&readable, 1, (int)(deadline_ms - now_ms)) > 0)
			error = receive(promises, fd, &ended);
	}
	return error;
}

static int ask(struct promises_read *promises, const struct store_config *config)
{
	auto_close int ours = -1, its = -1;
	int ends[2], status, error;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
		return -errno;
	ours = ends[0];
	its = ends[1];
	error = spawn(its, &pid);
	if (error < 0)
		return error;
	close(its);
	its = -1;
	error = storing_send_config(ours, config);
	if (error == 0)
		error = listen_to(promises, ours);
	close(ours);
	ours = -1;
	process_finish(pid, END_MS, &status);
	return error;
}

int promises_read(struct promises_read *promises)
{
	struct store_config config;
	int error;

	*promises = (struct promises_read){0};
	error = describe(&config, &promises->is_there);
	if (error == 0 && promises->is_there)
		error = ask(promises, &config);
	if (error == 0)
		holders_sort(&promises->holders);
	else if (packet_is_hung_up(error))
		log_error("what is in the store cannot be read");
	else
		log_error("what is in the store cannot be read: %s", strerror(-error));
	return error;
}

void promises_free(struct promises_read *promises)
{
	free(promises->endpoints);
	holders_free(&promises->holders);
	*promises = (struct promises_read){0};
}
