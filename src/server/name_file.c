/* Keeps the names of peers in a file, to which each grant appends, and which is written anew when
 * most of it is of peers that are gone. Runs in the broker. */
#include "server/name_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "server/endpoint.h"

enum {
	FILE_MAX = 256 << 20, /* bytes */
	SPARE_RECORDS = 10 * 1000, /* beside twice those of the peers that are there */
	RECORDS_AT_ONCE = 128, /* a call of the kernel for each would be most of the time */
};

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

struct name_file {
	const struct endpoint_list *endpoints;
	int fd; /* -1: it is not written to, yet or any more */
	struct name_record *found; /* until name_file_begin() */
	size_t n_found;
	size_t n_records; /* in the file */
	bool has_any; /* a peer has or had a name: else there is nothing to write */
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
	file->fd = -1;
	error = read_records(file);
	if (error < 0 && error != -ENOENT)
		log_warning("whose the tunnels are that a server before this one has left is not "
			    "known, as %s cannot be read: %s",
			NAME_FILE, strerror(-error));
	return file;
}

void name_file_remove(void)
{
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

static int write_peers(struct name_file *file, int fd, const struct endpoint *endpoint)
{
	struct name_record records[RECORDS_AT_ONCE];
	size_t n = 0;
	int error = 0;

	hash_for_each (&endpoint->peers.table, node) {
		const struct peer *peer = hash_entry(node, struct peer, node);

		if (!peer->name || error < 0)
			continue;
		records[n++] = describe(endpoint, peer);
		file->n_records++;
		if (n < RECORDS_AT_ONCE)
			continue;
		error = file_write_all(fd, records, sizeof records);
		n = 0;
	}
	return error < 0 ? error : file_write_all(fd, records, n * sizeof *records);
}

static int write_all(struct name_file *file, int fd)
{
	const struct endpoint *endpoint;
	int error = file_write_all(fd, magic, sizeof magic);

	file->n_records = 0;
	TAILQ_FOREACH (endpoint, file->endpoints, entry)
		if (error == 0 && endpoint->state != ENDPOINT_DESCRIBED)
			error = write_peers(file, fd, endpoint);
	return error;
}

/* The file is there as a whole at any moment. */
static int write_anew(struct name_file *file)
{
	static const char temporary[] = NAME_FILE ".new";
	int fd = open(
		temporary, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	int error = fd < 0 ? -errno : write_all(file, fd);

	if (error == 0 && rename(temporary, NAME_FILE) < 0)
		error = -errno;
	if (error < 0) {
		if (fd >= 0)
			close(fd);
		unlink(temporary); /* where there is no room, a part of it would take some */
		return error;
	}
	if (file->fd >= 0)
		close(file->fd);
	file->fd = fd;
	return 0;
}

/* From here on the file tells less than there is, and so nothing. */
static void give_up(struct name_file *file, int error)
{
	log_error(
		"names of clients are not kept in %s from now on: %s", NAME_FILE, strerror(-error));
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
	name_file_remove();
}

void name_file_begin(struct name_file *file)
{
	int error;

	if (!file)
		return;
	file->has_any = file->n_found > 0;
	free(file->found);
	file->found = NULL;
	file->n_found = 0;
	error = write_anew(file);
	if (error < 0)
		give_up(file, error);
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
	if (file->n_records > SPARE_RECORDS + 2 * endpoints_count_peers(file->endpoints)) {
		error = write_anew(file);
	} else {
		error = file_write_all(file->fd, &record, sizeof record);
		file->n_records++;
	}
	if (error < 0)
		give_up(file, error);
}
