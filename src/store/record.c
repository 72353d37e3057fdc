/* Names, seals and opens what a fleet keeps in etcd. Runs in the store's process. */
#include "store/record.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
	ENDPOINT_BYTES = 4 + 4 + 4 + 4 + KEY_SIZE + 8,
	HOLDER_BYTES = 8 + HOLDER_HOST_SIZE,
	NUMBER_BYTES = 4,
	/* A name that is so short takes no more: hosts of releases that knew no longer ones open
	 * these records too. */
	SHORT_NAME = 64, /* with a NUL */
	PEER_BYTES_BUT_NAME = 4 + 4 + KEY_SIZE + 4 + 4 + 8 + 8,
	PEER_BYTES = PEER_BYTES_BUT_NAME + CLIENT_NAME_SIZE,
	ACTIVE_BYTES = 4 * RECORD_GROUP,
	MOST_BYTES = ACTIVE_BYTES,

	FREED = 0, /* in place of a peer's kind */
};

_Static_assert((int)MOST_BYTES + (int)SEAL_OVERHEAD <= (int)RECORD_MOST, "room for each record");

static const char *const kinds[] = {
	[RECORD_HOLDER] = "holder",
	[RECORD_ENDPOINT] = "endpoint",
	[RECORD_NUMBER] = "number",
	[RECORD_PEER] = "peer",
	[RECORD_ACTIVE] = "active",
	[RECORD_QUESTION] = "asked",
	[RECORD_COMPACTOR] = "compactor",
};

/* Integers lie in a record in network byte order, one behind the other. */

static void write_bytes(uint8_t **at, const void *bytes, size_t n)
{
	memcpy(*at, bytes, n);
	*at += n;
}

static void write_number(uint8_t **at, uint64_t value, int n)
{
	for (int i = n; i-- > 0;)
		*(*at)++ = (uint8_t)(value >> (8 * i));
}

static void read_bytes(const uint8_t **at, void *bytes, size_t n)
{
	memcpy(bytes, *at, n);
	*at += n;
}

static uint64_t read_number(const uint8_t **at, int n)
{
	uint64_t value = 0;

	while (n-- > 0)
		value = value << 8 | *(*at)++;
	return value;
}

/* Names */

struct record_name record_prefix(const char *fleet, enum record_kind kind, struct ipv4 bind)
{
	struct record_name name;
	int n = snprintf(name.s, sizeof name.s, "/vprox/%s/%s/", fleet, kinds[kind]);

	if (bind.value != 0)
		snprintf(name.s + n, sizeof name.s - (size_t)n, "%s/", ipv4_text(bind).s);
	return name;
}

struct ipv4 record_address(const char *name)
{
	const char *slash = strrchr(name, '/');
	struct ipv4 address;

	if (!slash || ipv4_parse(slash + 1, &address) < 0)
		return (struct ipv4){0};
	return address;
}

static void append(struct record_name *name, const char *text)
{
	size_t n = strlen(name->s);

	snprintf(name->s + n, sizeof name->s - n, "%s", text);
}

static int seal_record(const struct record_maker *maker, uint64_t epoch, uint8_t *plain, size_t n,
	struct record *record)
{
	int error = sealer_seal(maker->sealer, record->name.s, epoch, plain, n, record->value);

	record->size = n + SEAL_OVERHEAD;
	explicit_bzero(plain, n);
	return error;
}

/* The holder of an address */

int record_of_holder(const struct record_maker *maker, struct ipv4 bind,
	const struct fleet_holder *holder, struct record *record)
{
	uint8_t plain[HOLDER_BYTES], *at = plain;

	record->name = record_prefix(maker->fleet, RECORD_HOLDER, (struct ipv4){0});
	append(&record->name, ipv4_text(bind).s);
	write_number(&at, holder->floor, 8);
	write_bytes(&at, holder->host, HOLDER_HOST_SIZE);
	return seal_record(maker, holder->epoch, plain, sizeof plain, record);
}

int record_open_holder(const struct record_maker *maker, const char *name, const uint8_t *value,
	size_t size, struct fleet_holder *holder)
{
	uint8_t plain[HOLDER_BYTES];
	const uint8_t *at = plain;
	int error =
		sealer_open(maker->sealer, name, value, size, plain, sizeof plain, &holder->epoch);

	if (error < 0)
		return error;
	holder->floor = read_number(&at, 8);
	read_bytes(&at, holder->host, HOLDER_HOST_SIZE);
	holder->host[HOLDER_HOST_SIZE - 1] = '\0';
	return 0;
}

/* Endpoints and their numbers */

int record_of_endpoint(const struct record_maker *maker, const struct stored_endpoint *endpoint,
	struct record *record)
{
	uint8_t plain[ENDPOINT_BYTES], *at = plain;

	record->name = record_prefix(maker->fleet, RECORD_ENDPOINT, (struct ipv4){0});
	append(&record->name, ipv4_text(endpoint->bind).s);
	write_number(&at, endpoint->network.value, 4);
	write_number(&at, endpoint->length, 4);
	write_number(&at, endpoint->index, 4);
	write_number(&at, endpoint->port, 4);
	write_bytes(&at, endpoint->private_key.bytes, KEY_SIZE);
	write_number(&at, endpoint->floor_s, 8);
	return seal_record(maker, endpoint->epoch, plain, sizeof plain, record);
}

/* What the broker would not be told. */
static int check(const struct storing_message *message)
{
	struct storing_message checked;

	return storing_decode_report(message, sizeof *message, &checked) < 0 ? -EBADMSG : 0;
}

int record_open_endpoint(const struct record_maker *maker, const char *name, const uint8_t *value,
	size_t size, struct stored_endpoint *endpoint)
{
	uint8_t plain[ENDPOINT_BYTES];
	const uint8_t *at = plain;
	struct storing_message message = {
		.version = STORING_VERSION, .operation = STORING_ENDPOINT};
	uint64_t epoch;
	int error = sealer_open(maker->sealer, name, value, size, plain, sizeof plain, &epoch);

	if (error < 0)
		return error;
	*endpoint = (struct stored_endpoint){.bind = record_address(name), .epoch = epoch};
	endpoint->network.value = (uint32_t)read_number(&at, 4);
	endpoint->length = (uint32_t)read_number(&at, 4);
	endpoint->index = (uint32_t)read_number(&at, 4);
	endpoint->port = (uint32_t)read_number(&at, 4);
	read_bytes(&at, endpoint->private_key.bytes, KEY_SIZE);
	endpoint->floor_s = read_number(&at, 8);
	explicit_bzero(plain, sizeof plain);
	message.endpoint = *endpoint;
	error = check(&message);
	explicit_bzero(&message, sizeof message);
	return error;
}

int record_of_number(const struct record_maker *maker, const struct stored_endpoint *endpoint,
	struct record *record)
{
	uint8_t plain[NUMBER_BYTES], *at = plain;
	char text[sizeof "4294967295"];

	record->name = record_prefix(maker->fleet, RECORD_NUMBER, (struct ipv4){0});
	snprintf(text, sizeof text, "%u", endpoint->index);
	append(&record->name, text);
	write_number(&at, endpoint->bind.value, 4);
	return seal_record(maker, endpoint->epoch, plain, sizeof plain, record);
}

int record_open_number(const struct record_maker *maker, const char *name, const uint8_t *value,
	size_t size, struct ipv4 *bind)
{
	uint8_t plain[NUMBER_BYTES];
	const uint8_t *at = plain;
	uint64_t epoch;
	int error = sealer_open(maker->sealer, name, value, size, plain, sizeof plain, &epoch);

	if (error == 0)
		bind->value = (uint32_t)read_number(&at, 4);
	return error;
}

/* Peers */

static struct record_name peer_name(
	const struct record_maker *maker, struct ipv4 bind, struct ipv4 inner)
{
	struct record_name name = record_prefix(maker->fleet, RECORD_PEER, bind);

	append(&name, ipv4_text(inner).s);
	return name;
}

static size_t room_for_name(const struct client_name *name)
{
	return strnlen(name->s, sizeof name->s) < SHORT_NAME ? SHORT_NAME : sizeof name->s;
}

/* Of a record of this size. */
static size_t name_size_of(size_t size)
{
	return size == PEER_BYTES + SEAL_OVERHEAD ? CLIENT_NAME_SIZE : SHORT_NAME;
}

int record_of_peer(const struct record_maker *maker, const struct storing_message *message,
	uint64_t place, uint64_t epoch, struct record *record)
{
	const struct stored_peer *peer = &message->peer;
	const bool is_freed = message->operation == STORING_FREED;
	const size_t name_size = room_for_name(&peer->name);
	uint8_t plain[PEER_BYTES] = {0}, *at = plain;

	record->name = peer_name(maker, peer->bind, peer->inner);
	write_number(&at, is_freed ? FREED : peer->kind, 4);
	write_number(&at, peer->remote.value, 4);
	write_bytes(&at, peer->key.bytes, KEY_SIZE);
	write_number(&at, peer->outer.value, 4);
	write_number(&at, peer->outer_port, 4);
	write_number(&at, is_freed ? place : peer->made_s, 8);
	write_number(&at, peer->active_s, 8);
	write_bytes(&at, peer->name.s, name_size);
	return seal_record(maker, epoch, plain, PEER_BYTES_BUT_NAME + name_size, record);
}

int record_open_peer(const struct record_maker *maker, struct ipv4 bind, const char *name,
	const uint8_t *value, size_t size, struct storing_message *message, uint64_t *place,
	uint64_t *epoch)
{
	uint8_t plain[PEER_BYTES];
	const uint8_t *at = plain;
	struct stored_peer *peer = &message->peer;
	const size_t name_size = name_size_of(size);
	int error = sealer_open(
		maker->sealer, name, value, size, plain, PEER_BYTES_BUT_NAME + name_size, epoch);

	if (error < 0)
		return error;
	*message = (struct storing_message){
		.version = STORING_VERSION,
		.operation = STORING_PEER,
		.peer = {.bind = bind, .inner = record_address(name)},
	};
	peer->kind = (uint32_t)read_number(&at, 4);
	peer->remote.value = (uint32_t)read_number(&at, 4);
	read_bytes(&at, peer->key.bytes, KEY_SIZE);
	peer->outer.value = (uint32_t)read_number(&at, 4);
	peer->outer_port = (uint32_t)read_number(&at, 4);
	*place = peer->made_s = read_number(&at, 8);
	peer->active_s = read_number(&at, 8);
	read_bytes(&at, peer->name.s, name_size);
	if (peer->kind == FREED) {
		message->operation = STORING_FREED;
		peer->made_s = 0;
	}
	return check(message);
}

int record_of_active(const struct record_maker *maker, struct ipv4 bind, struct ipv4 first,
	const uint32_t active_s[RECORD_GROUP], uint64_t epoch, struct record *record)
{
	uint8_t plain[ACTIVE_BYTES], *at = plain;

	record->name = record_prefix(maker->fleet, RECORD_ACTIVE, bind);
	append(&record->name, ipv4_text(first).s);
	for (int i = 0; i < RECORD_GROUP; i++)
		write_number(&at, active_s[i], 4);
	return seal_record(maker, epoch, plain, sizeof plain, record);
}

int record_open_active(const struct record_maker *maker, const char *name, const uint8_t *value,
	size_t size, uint32_t active_s[RECORD_GROUP], uint64_t *epoch)
{
	uint8_t plain[ACTIVE_BYTES];
	const uint8_t *at = plain;
	int error = sealer_open(maker->sealer, name, value, size, plain, sizeof plain, epoch);

	for (int i = 0; error == 0 && i < RECORD_GROUP; i++)
		active_s[i] = (uint32_t)read_number(&at, 4);
	return error;
}
