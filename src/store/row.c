/*
 * Writes endpoints and peers into rows of the store's file, and reads them out of these: addresses
 * and keys are texts there. Runs in the store's process.
 */
#include "store/row.h"

#include <string.h>

#include <sqlite3.h>

static const char *const kinds[STORED_KIND_END] = {
	[STORED_WIREGUARD] = "wireguard", [STORED_IPIP] = "ipip"};

static void bind_text(sqlite3_stmt *statement, int place, const char *text)
{
	sqlite3_bind_text(statement, place, text, -1, SQLITE_TRANSIENT);
}

void row_bind_address(sqlite3_stmt *statement, int place, struct ipv4 address)
{
	if (address.value != 0)
		bind_text(statement, place, ipv4_text(address).s);
	else
		sqlite3_bind_null(statement, place);
}

void row_bind_endpoint(sqlite3_stmt *statement, const struct stored_endpoint *endpoint)
{
	const struct prefix block = {endpoint->network, (uint8_t)endpoint->length};

	row_bind_address(statement, 1, endpoint->bind);
	sqlite3_bind_int64(statement, 2, endpoint->index);
	bind_text(statement, 3, prefix_text(block).s);
	sqlite3_bind_int64(statement, 4, endpoint->port);
	bind_text(statement, 5, key_text(&endpoint->private_key).s);
	sqlite3_bind_int64(statement, 6, (sqlite3_int64)endpoint->epoch);
	sqlite3_bind_int64(statement, 7, (sqlite3_int64)endpoint->floor_s);
}

void row_bind_peer(sqlite3_stmt *statement, const struct stored_peer *peer)
{
	row_bind_address(statement, 1, peer->bind);
	row_bind_address(statement, 2, peer->inner);
	bind_text(statement, 3, kinds[peer->kind]);
	if (peer->kind == STORED_WIREGUARD)
		bind_text(statement, 4, key_text(&peer->key).s);
	row_bind_address(statement, 5, peer->remote);
	row_bind_address(statement, 6, peer->outer);
	sqlite3_bind_int64(statement, 7, peer->outer_port);
	sqlite3_bind_int64(statement, 8, (sqlite3_int64)peer->made_s);
	sqlite3_bind_int64(statement, 9, (sqlite3_int64)peer->active_s);
	bind_text(statement, 10, peer->name.s);
}

/* Reading. An operator may have written there too: what does not parse is no row. */

static const char *column_text(sqlite3_stmt *statement, int column)
{
	const unsigned char *text = sqlite3_column_text(statement, column);

	return text ? (const char *)text : "";
}

struct ipv4 row_address(sqlite3_stmt *statement, int column)
{
	struct ipv4 address = {0};

	if (ipv4_parse(column_text(statement, column), &address) < 0)
		return (struct ipv4){0};
	return address;
}

static struct key column_key(sqlite3_stmt *statement, int column)
{
	const char *text = column_text(statement, column);
	struct key key = {{0}};

	if (key_parse(text, strlen(text), &key) < 0)
		return (struct key){{0}};
	return key;
}

void row_read_endpoint(sqlite3_stmt *row, struct storing_message *message)
{
	struct stored_endpoint *endpoint = &message->endpoint;
	struct prefix block = {{0}, 0};

	message->operation = STORING_ENDPOINT;
	endpoint->bind = row_address(row, 0);
	endpoint->index = (uint32_t)sqlite3_column_int64(row, 1);
	/* A length that is none makes the message invalid. */
	endpoint->length = UINT32_MAX;
	if (prefix_parse(column_text(row, 2), &block) == 0)
		endpoint->length = block.length;
	endpoint->network = block.address;
	endpoint->port = (uint32_t)sqlite3_column_int64(row, 3);
	endpoint->private_key = column_key(row, 4);
	endpoint->epoch = (uint64_t)sqlite3_column_int64(row, 5);
	endpoint->floor_s = (uint64_t)sqlite3_column_int64(row, 6);
}

static uint32_t column_kind(sqlite3_stmt *row, int column)
{
	for (uint32_t kind = 1; kind < STORED_KIND_END; kind++)
		if (strcmp(column_text(row, column), kinds[kind]) == 0)
			return kind;
	return 0;
}

void row_read_peer(sqlite3_stmt *row, struct storing_message *message)
{
	struct stored_peer *peer = &message->peer;

	message->operation = STORING_PEER;
	peer->bind = row_address(row, 0);
	peer->inner = row_address(row, 1);
	peer->kind = column_kind(row, 2);
	peer->key = column_key(row, 3);
	peer->remote = row_address(row, 4);
	peer->outer = row_address(row, 5);
	peer->outer_port = (uint32_t)sqlite3_column_int64(row, 6);
	peer->made_s = (uint64_t)sqlite3_column_int64(row, 7);
	peer->active_s = (uint64_t)sqlite3_column_int64(row, 8);
	/* A name that is none makes the message invalid. */
	if (client_name_parse(column_text(row, 9), &peer->name) < 0)
		peer->kind = 0;
}

void row_read_freed(sqlite3_stmt *row, struct storing_message *message)
{
	message->operation = STORING_FREED;
	message->peer.bind = row_address(row, 0);
	message->peer.inner = row_address(row, 1);
}
