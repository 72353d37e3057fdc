/* Keeps the names of peers in a file, to which each grant appends, and which is written anew,
 * beside requests, when most of it is of peers that are gone. Runs in the broker. */
#include "server/name_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "server/all_peers.h"
#include "server/endpoint.h"

enum {
	FILE_MAX = 256 << 20, /* bytes */
	SPARE_RECORDS = 10 * 1000, /* beside twice those of the peers that are there */
	RECORDS_AT_ONCE = 128, /* a call of the kernel for each would be most of the time */
};

static const char temporary[] = NAME_FILE ".new";

/* The first bytes of the file: another layout has another one. */
static const char magic[16] = "vprox names 1\n";

/* Of this machine alone, so in its byte order. The last one of a peer holds. */
struct name_record {
	struct ipv4 bind, inner;
	uint32_t kind; /* enum peer_kind */
	struct ipv4 remote; /* of IPIP */
	struct key key; /* of WireGuard */
	struct client_name name;
};

/* The file that is to take the place of the one there is: what is recorded meanwhile comes into
 * both, and is the later one of its peer here too. */
struct next_file {
	int fd; /* -1: there is none */
	int error; /* of a write; then nothing more is written */
	size_t n_records; /* in it, and those that wait: */
	struct name_record waiting[RECORDS_AT_ONCE];
	size_t n_waiting;
};

struct name_file {
	const struct endpoint_list *endpoints;
	int fd; /* -1: it is not written to, yet or any more */
	struct name_record *found; /* until name_file_begin() */
	size_t n_found;
	size_t n_records; /* in the file */
	bool has_any; /* a peer has or had a name: else there is nothing to write */
	struct next_file next;
	struct all_peers peers; /* for the next one */
};

static bool is_record(const struct name_record *record)
{
	return (record->kind == PEER_WIREGUARD || record->kind == PEER_IPIP) &&
	       client_name_is_valid(&record->name);
}

/* What is cut off at its end was never answered. Returns 0 or -errno. */
static int read_records(struct name_file *file)
{
	auto_free char *data = NULL;
	size_t length, n;
	int error = file_read(NAME_FILE, FILE_MAX, &data, &length);

	if (error < 0)
		return error;
	if (length < sizeof magic || memcmp(data, magic, sizeof magic) != 0)
		return -EBADMSG;
	n = (length - sizeof magic) / sizeof *file->found;
	file->found = calloc(n + 1, sizeof *file->found);
	if (!file->found)
		return -ENOMEM;
	memcpy(file->found, data + sizeof magic, n * sizeof *file->found);
	file->n_found = n;
	return 0;
}

struct name_file *name_file_open(const struct endpoint_list *endpoints)
{
	struct name_file *file = calloc(1, sizeof *file);
	int error;

	if (!file) {
		log_error("names of clients are not kept in %s: %s", NAME_FILE, strerror(ENOMEM));
		return NULL;
	}
	file->endpoints = endpoints;
	file->fd = file->next.fd = -1;
	error = read_records(file);
	if (error < 0 && error != -ENOENT)
		log_warning("whose the tunnels are that a server before this one has left is not "
			    "known, as %s cannot be read: %s",
			NAME_FILE, strerror(-error));
	return file;
}

void name_file_remove(void)
{
	/* Of a server that died amid it. */
	unlink(temporary);
	if (unlink(NAME_FILE) < 0 && errno != ENOENT)
		log_warning("cannot remove %s: %s", NAME_FILE, strerror(errno));
}

void name_file_close(struct name_file *file, bool is_of_use)
{
	if (!file)
		return;
	/* A start that failed leaves what is there to the next one. */
	if (file->fd >= 0 && !is_of_use)
		name_file_remove();
	if (file->fd >= 0)
		close(file->fd);
	free(file->found);
	free(file);
}

static struct peer *find_peer(const struct endpoint *endpoint, const struct name_record *record)
{
	const struct plane_peer id = {
		.kind = (enum peer_kind)record->kind, .key = record->key, .remote = record->remote};
	struct peer *peer = peers_find(&endpoint->peers, &id);

	return peer && ipv4_equal(peer->id.inner, record->inner) ? peer : NULL;
}

void name_file_recall(const struct name_file *file, struct endpoint *endpoint)
{
	for (size_t i = 0; file && i < file->n_found; i++) {
		const struct name_record *record = &file->found[i];
		struct peer *peer;

		if (!ipv4_equal(record->bind, endpoint->config.bind) || !is_record(record))
			continue;
		peer = find_peer(endpoint, record);
		if (peer)
			peers_set_name(&endpoint->peers, peer, &record->name);
	}
}

static struct name_record describe(const struct endpoint *endpoint, const struct peer *peer)
{
	struct name_record record = {.bind = endpoint->config.bind,
		.inner = peer->id.inner,
		.kind = peer->id.kind,
		.name = *peers_name_of(peer)};

	if (peer->id.kind == PEER_WIREGUARD)
		record.key = peer->id.key;
	else
		record.remote = peer->id.remote;
	return record;
}

/* The next file */

static void flush_next(struct next_file *next)
{
	if (next->error == 0)
		next->error = file_write_all(
			next->fd, next->waiting, next->n_waiting * sizeof *next->waiting);
	next->n_waiting = 0;
}

static void add_to_next(struct next_file *next, const struct name_record *record)
{
	next->waiting[next->n_waiting++] = *record;
	next->n_records++;
	if (next->n_waiting == RECORDS_AT_ONCE)
		flush_next(next);
}

static void write_peer(void *context, struct endpoint *endpoint, struct peer *peer)
{
	struct name_file *file = context;
	const struct name_record record = describe(endpoint, peer);

	if (peer->name)
		add_to_next(&file->next, &record);
}

static int begin_next(struct name_file *file)
{
	int fd = open(
		temporary, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);

	file->next = (struct next_file){.fd = fd};
	return fd < 0 ? -errno : file_write_all(fd, magic, sizeof magic);
}

/* Where there is no room, a part of it would take some. */
static void drop_next(struct name_file *file)
{
	if (file->next.fd < 0)
		return;
	close(file->next.fd);
	file->next.fd = -1;
	unlink(temporary);
}

/* The file is there as a whole at any moment. */
static int take_next(struct name_file *file)
{
	flush_next(&file->next);
	if (file->next.error == 0 && rename(temporary, NAME_FILE) < 0)
		file->next.error = -errno;
	if (file->next.error < 0)
		return file->next.error;
	if (file->fd >= 0)
		close(file->fd);
	file->fd = file->next.fd;
	file->n_records = file->next.n_records;
	file->next.fd = -1;
	return 0;
}

/* From here on the file tells less than there is, and so nothing. */
static void give_up(struct name_file *file, int error)
{
	log_error(
		"names of clients are not kept in %s from now on: %s", NAME_FILE, strerror(-error));
	all_peers_cancel(&file->peers);
	drop_next(file);
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
	name_file_remove();
}

static void finish_next(void *context)
{
	struct name_file *file = context;
	int error = take_next(file);

	if (error < 0)
		give_up(file, error);
}

/* Of a start: nobody waits yet. */
static int write_first(struct name_file *file)
{
	struct endpoint *endpoint;
	int error = begin_next(file);

	if (error < 0)
		return error;
	TAILQ_FOREACH (endpoint, file->endpoints, entry)
		hash_for_each (&endpoint->peers.table, node)
			write_peer(file, endpoint, hash_entry(node, struct peer, node));
	return take_next(file);
}

void name_file_begin(struct name_file *file, struct event_base *base)
{
	int error;

	if (!file)
		return;
	file->has_any = file->n_found > 0;
	free(file->found);
	file->found = NULL;
	file->n_found = 0;
	error = all_peers_init(&file->peers, base, file->endpoints, write_peer, finish_next, file);
	if (error == 0)
		error = write_first(file);
	if (error < 0)
		give_up(file, error);
}

void name_file_settle(struct name_file *file)
{
	if (!file)
		return;
	all_peers_free(&file->peers);
	drop_next(file);
}

static int write_anew_if_due(struct name_file *file)
{
	int error;

	if (file->next.fd >= 0 ||
		file->n_records <= SPARE_RECORDS + 2 * endpoints_count_peers(file->endpoints))
		return 0;
	error = begin_next(file);
	return error < 0 ? error : all_peers_begin(&file->peers);
}

void name_file_record(
	struct name_file *file, const struct endpoint *endpoint, const struct peer *peer)
{
	struct name_record record;
	int error;

	if (!file || file->fd < 0 || (!peer->name && !file->has_any))
		return;
	file->has_any = true;
	record = describe(endpoint, peer);
	error = file_write_all(file->fd, &record, sizeof record);
	file->n_records++;
	if (error == 0)
		error = write_anew_if_due(file);
	if (error == 0 && file->next.fd >= 0)
		add_to_next(&file->next, &record);
	if (error < 0)
		give_up(file, error);
}
