#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sqlite3.h>

#include "store/database.h"

enum { MANY = 1000 };

struct rows {
	struct storing_message messages[2 * MANY];
	size_t n, n_invalid;
};

static const struct ipv4 bind_address = {0xcb007107}, other = {0xcb007108};

static int set_up(void **state)
{
	static char folder[32];

	strcpy(folder, "/tmp/vprox-store-XXXXXX");
	*state = folder;
	return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
	char command[64];

	snprintf(command, sizeof command, "rm -r %s", (const char *)*state);
	return system(command);
}

static const char *file_in(const char *folder)
{
	static char path[64];

	snprintf(path, sizeof path, "%s/store.db", folder);
	return path;
}

static struct database *open_in(const char *folder)
{
	struct database *database;

	assert_int_equal(database_open(file_in(folder), &database), 0);
	return database;
}

static struct storing_message about(uint32_t operation, struct ipv4 bind, uint32_t n)
{
	struct storing_message message = {
		.version = STORING_VERSION,
		.operation = operation,
		.peer = {.bind = bind, .inner = {0x0a640000 + n}},
	};

	if (operation != STORING_PUT_PEER)
		return message;
	message.peer.kind = STORED_WIREGUARD;
	memcpy(message.peer.key.bytes, &n, sizeof n);
	message.peer.key.bytes[31] = 1;
	message.peer.outer = (struct ipv4){0xc0000200 + n};
	message.peer.outer_port = 50000;
	message.peer.made_s = 1795000000;
	message.peer.active_s = 1795000001;
	strcpy(message.peer.name.s, "oidc:a-name-with-'-and-\"");
	return message;
}

static uint32_t refused; /* the last inner address */

static void on_refused(void *context, const struct storing_message *order)
{
	(void)context;
	refused = order->peer.inner.value;
}

static void write_one(struct database *database, const struct storing_message *message)
{
	assert_int_equal(database_write(database, message, 1, on_refused, NULL), 0);
}

static int keep(void *context, const struct storing_message *message)
{
	struct rows *rows = context;

	rows->messages[rows->n++] = *message;
	return 0;
}

static struct rows *load(struct database *database)
{
	static struct rows rows;

	rows.n = 0;
	assert_int_equal(database_load(database, keep, &rows, &rows.n_invalid), 0);
	return &rows;
}

static void what_is_written_is_read_by_the_next_one(void **state)
{
	struct database *database = open_in(*state);
	struct storing_message endpoint = {
		.version = STORING_VERSION,
		.operation = STORING_PUT_ENDPOINT,
		.endpoint = {.bind = bind_address,
			.network = {0x0a640000},
			.length = 16,
			.index = 3,
			.port = 50230,
			.private_key = {{7}},
			.epoch = 12,
			.floor_s = 1795000002},
	};
	struct storing_message peer = about(STORING_PUT_PEER, bind_address, 2), ipip = peer;
	const struct rows *rows;

	ipip.peer.kind = STORED_IPIP;
	ipip.peer.inner.value++;
	ipip.peer.key = (struct key){{0}};
	ipip.peer.outer = (struct ipv4){0};
	ipip.peer.outer_port = 0;
	ipip.peer.remote = (struct ipv4){0xc0000201};
	write_one(database, &endpoint);
	write_one(database, &peer);
	write_one(database, &ipip);
	database_close(database);
	database = open_in(*state);
	rows = load(database);
	assert_int_equal(rows->n, 3);
	assert_memory_equal(
		&rows->messages[0].endpoint, &endpoint.endpoint, sizeof endpoint.endpoint);
	assert_memory_equal(&rows->messages[1].peer, &peer.peer, sizeof peer.peer);
	assert_memory_equal(&rows->messages[2].peer, &ipip.peer, sizeof ipip.peer);
	database_close(database);
}

static void an_address_has_one_holder_and_is_freed_or_held(void **state)
{
	struct database *database = open_in(*state);
	struct storing_message peer = about(STORING_PUT_PEER, bind_address, 2);
	struct storing_message freed = about(STORING_FREE_ADDRESS, bind_address, 2);
	const struct rows *rows;

	write_one(database, &peer);
	peer.peer.key.bytes[5]++;
	write_one(database, &peer);
	rows = load(database);
	assert_int_equal(rows->n, 1);
	assert_memory_equal(&rows->messages[0].peer.key, &peer.peer.key, KEY_SIZE);
	write_one(database, &freed);
	rows = load(database);
	assert_int_equal(rows->n, 1);
	assert_int_equal(rows->messages[0].operation, STORING_FREED);
	write_one(database, &peer);
	rows = load(database);
	assert_int_equal(rows->n, 1);
	assert_int_equal(rows->messages[0].operation, STORING_PEER);
	database_close(database);
}

static void freed_addresses_come_in_the_order_in_which_they_were_freed_last(void **state)
{
	static const uint32_t order[] = {5, 3, 9, 5};
	struct database *database = open_in(*state);
	const struct rows *rows;

	for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
		struct storing_message freed = about(STORING_FREE_ADDRESS, bind_address, order[i]);

		write_one(database, &freed);
	}
	rows = load(database);
	assert_int_equal(rows->n, 3);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(rows->messages[i].peer.inner.value, 0x0a640000 + order[i + 1]);
	database_close(database);
}

static void what_is_read_of_one_endpoint_has_no_others_peers(void **state)
{
	struct database *database = open_in(*state);
	struct storing_message peer = about(STORING_PUT_PEER, bind_address, 2),
			       of_other = about(STORING_PUT_PEER, other, 3),
			       freed = about(STORING_FREE_ADDRESS, bind_address, 4),
			       freed_of_other = about(STORING_FREE_ADDRESS, other, 5);
	static struct rows rows;

	write_one(database, &peer);
	write_one(database, &of_other);
	write_one(database, &freed);
	write_one(database, &freed_of_other);
	rows.n = 0;
	assert_int_equal(
		database_load_one(database, bind_address, keep, &rows, &rows.n_invalid), 0);
	assert_int_equal(rows.n, 2);
	assert_int_equal(rows.messages[0].operation, STORING_PEER);
	assert_int_equal(rows.messages[0].peer.inner.value, peer.peer.inner.value);
	assert_int_equal(rows.messages[1].operation, STORING_FREED);
	assert_int_equal(rows.messages[1].peer.inner.value, freed.peer.inner.value);
	database_close(database);
}

static void freeing_all_is_of_one_endpoint(void **state)
{
	struct database *database = open_in(*state);
	struct storing_message orders[] = {
		about(STORING_PUT_PEER, bind_address, 2),
		about(STORING_PUT_PEER, other, 2),
		about(STORING_FREE_ALL, bind_address, 0),
	};
	const struct rows *rows;

	orders[2].peer.inner.value = 0;
	assert_int_equal(database_write(database, orders, 3, on_refused, NULL), 0);
	rows = load(database);
	assert_int_equal(rows->n, 2);
	assert_int_equal(rows->messages[0].operation, STORING_PEER);
	assert_int_equal(rows->messages[0].peer.bind.value, other.value);
	assert_int_equal(rows->messages[1].operation, STORING_FREED);
	database_close(database);
}

static void what_is_forgotten_is_all_of_one_endpoint(void **state)
{
	struct database *database = open_in(*state);
	struct storing_message orders[] = {
		{.operation = STORING_PUT_ENDPOINT, .endpoint = {.bind = bind_address}},
		{.operation = STORING_PUT_ENDPOINT, .endpoint = {.bind = other}},
		about(STORING_PUT_PEER, bind_address, 2),
		about(STORING_FREE_ADDRESS, bind_address, 3),
		about(STORING_PUT_PEER, other, 2),
		about(STORING_FREE_ADDRESS, other, 3),
		about(STORING_FORGET, bind_address, 0),
	};
	const struct rows *rows;

	assert_int_equal(database_write(database, orders, 7, on_refused, NULL), 0);
	rows = load(database);
	assert_int_equal(rows->n, 3);
	assert_int_equal(rows->messages[0].endpoint.bind.value, other.value);
	assert_int_equal(rows->messages[1].peer.bind.value, other.value);
	assert_int_equal(rows->messages[2].peer.bind.value, other.value);
	database_close(database);
}

static void of_several_orders_all_are_written_or_none(void **state)
{
	struct database *database = open_in(*state);
	struct storing_message orders[] = {
		about(STORING_PUT_PEER, bind_address, 2), about(STORING_DURABLE, bind_address, 3)};

	assert_true(database_write(database, orders, 2, on_refused, NULL) < 0);
	assert_int_equal(load(database)->n, 0);
	write_one(database, &orders[0]);
	assert_int_equal(load(database)->n, 1);
	database_close(database);
}

/* As 0.2's first store made it, with one row. */
static const char first_version[] =
	"CREATE TABLE endpoint (address TEXT PRIMARY KEY, number INTEGER NOT NULL,"
	" block TEXT NOT NULL, port INTEGER NOT NULL, private_key TEXT NOT NULL,"
	" epoch INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE TABLE peer (endpoint TEXT NOT NULL, inner_address TEXT NOT NULL,"
	" kind TEXT NOT NULL, public_key TEXT, remote_address TEXT, outer_address TEXT,"
	" outer_port INTEGER, made INTEGER NOT NULL, active INTEGER NOT NULL, name TEXT NOT NULL,"
	" PRIMARY KEY (endpoint, inner_address)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE freed (place INTEGER PRIMARY KEY AUTOINCREMENT, endpoint TEXT NOT NULL,"
	" inner_address TEXT NOT NULL, UNIQUE (endpoint, inner_address)) STRICT;"
	"INSERT INTO endpoint VALUES ('203.0.113.7', 3, '10.100.0.0/16', 50230,"
	" 'BwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=', 12);"
	"PRAGMA user_version = 1;";

static void a_file_of_an_older_version_keeps_what_is_in_it_and_gets_what_it_lacks(void **state)
{
	struct database *database;
	const struct rows *rows;
	sqlite3 *sqlite;

	assert_int_equal(sqlite3_open(file_in(*state), &sqlite), SQLITE_OK);
	assert_int_equal(sqlite3_exec(sqlite, first_version, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(sqlite);
	for (int i = 0; i < 2; i++) {
		database = open_in(*state);
		assert_false(database_is_new(database));
		rows = load(database);
		assert_int_equal(rows->n, 1);
		assert_int_equal(rows->messages[0].endpoint.bind.value, bind_address.value);
		assert_int_equal(rows->messages[0].endpoint.epoch, 12);
		assert_int_equal(rows->messages[0].endpoint.floor_s, 0);
		database_close(database);
	}
}

static void what_a_rule_of_the_file_is_against_is_left_out_and_the_others_are_written(void **state)
{
	struct database *database = open_in(*state);
	struct storing_message orders[] = {
		about(STORING_PUT_PEER, bind_address, 2),
		about(STORING_PUT_PEER, bind_address, 3),
		about(STORING_FREE_ADDRESS, bind_address, 3),
		about(STORING_PUT_PEER, bind_address, 4),
	};
	const struct rows *rows;
	sqlite3 *operator;

	assert_int_equal(sqlite3_open(file_in(*state), &operator), SQLITE_OK);
	assert_int_equal(sqlite3_exec(operator, "CREATE TRIGGER rule BEFORE INSERT ON peer"
						" WHEN new.inner_address = '10.100.0.3'"
						" BEGIN SELECT RAISE(ABORT, 'not this one'); END",
				 NULL, NULL, NULL),
		SQLITE_OK);
	sqlite3_close(operator);
	assert_int_equal(database_write(database, &orders[2], 1, on_refused, NULL), 0);
	refused = 0;
	orders[2] = orders[1];
	assert_int_equal(database_write(database, orders, 4, on_refused, NULL), 0);
	assert_int_equal(refused, orders[1].peer.inner.value);
	rows = load(database);
	/* Nobody has that address: it is still one that was freed. */
	assert_int_equal(rows->n, 3);
	assert_int_equal(rows->messages[0].peer.inner.value, orders[0].peer.inner.value);
	assert_int_equal(rows->messages[1].peer.inner.value, orders[3].peer.inner.value);
	assert_int_equal(rows->messages[2].operation, STORING_FREED);
	database_close(database);
}

static void a_file_that_is_none_is_damaged(void **state)
{
	struct database *database;
	FILE *file = fopen(file_in(*state), "w");

	for (int i = 0; i < MANY; i++)
		fputs("this is no database", file);
	fclose(file);
	assert_int_equal(database_open(file_in(*state), &database), -EBADMSG);
	assert_non_null(strstr(database_error(database), "not a database"));
	database_close(database);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			what_a_rule_of_the_file_is_against_is_left_out_and_the_others_are_written,
			set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_is_written_is_read_by_the_next_one, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			an_address_has_one_holder_and_is_freed_or_held, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			freed_addresses_come_in_the_order_in_which_they_were_freed_last, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			what_is_forgotten_is_all_of_one_endpoint, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_is_read_of_one_endpoint_has_no_others_peers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(freeing_all_is_of_one_endpoint, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			of_several_orders_all_are_written_or_none, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_file_of_an_older_version_keeps_what_is_in_it_and_gets_what_it_lacks,
			set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_file_that_is_none_is_damaged, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
