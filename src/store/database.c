/*
 * The file of the store: its tables, and the statements that read and write them. Runs in the
 * store's process.
 */
#include "store/database.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <sqlite3.h>

#include "store/row.h"

enum {
	SCHEMA_VERSION = 2, /* user_version; 0 is a file without tables */
	BUSY_MS = 1000, /* for somebody who reads it, and is slow */
	ERROR_SIZE = 256,
};

/* Each brings a file of the version that is its number to the next one. */
static const char *const steps[SCHEMA_VERSION] = {
	"CREATE TABLE endpoint (address TEXT PRIMARY KEY, number INTEGER NOT NULL,"
	" block TEXT NOT NULL, port INTEGER NOT NULL, private_key TEXT NOT NULL,"
	" epoch INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE TABLE peer (endpoint TEXT NOT NULL, inner_address TEXT NOT NULL,"
	" kind TEXT NOT NULL, public_key TEXT, remote_address TEXT, outer_address TEXT,"
	" outer_port INTEGER, made INTEGER NOT NULL, active INTEGER NOT NULL, name TEXT NOT NULL,"
	" PRIMARY KEY (endpoint, inner_address)) STRICT, WITHOUT ROWID;"
	/* The rowid grows: the address freed longest ago has the smallest. */
	"CREATE TABLE freed (place INTEGER PRIMARY KEY AUTOINCREMENT, endpoint TEXT NOT NULL,"
	" inner_address TEXT NOT NULL, UNIQUE (endpoint, inner_address)) STRICT;",
	"ALTER TABLE endpoint ADD COLUMN handshake_floor INTEGER NOT NULL DEFAULT 0;",
};

enum statement {
	PUT_ENDPOINT,
	PUT_PEER,
	UNFREE,
	DELETE_PEER,
	FREE,
	FREE_ALL,
	DELETE_ALL,
	DELETE_FREED,
	DELETE_ENDPOINT,
	BEGIN,
	COMMIT,
	N_STATEMENTS,
};

static const char *const texts[N_STATEMENTS] = {
	[PUT_ENDPOINT] = "INSERT OR REPLACE INTO endpoint VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	[PUT_PEER] = "INSERT OR REPLACE INTO peer VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
	[UNFREE] = "DELETE FROM freed WHERE endpoint = ?1 AND inner_address = ?2",
	[DELETE_PEER] = "DELETE FROM peer WHERE endpoint = ?1 AND inner_address = ?2",
	[FREE] = "INSERT OR REPLACE INTO freed (endpoint, inner_address) VALUES (?1, ?2)",
	[FREE_ALL] = ("INSERT OR REPLACE INTO freed (endpoint, inner_address)"
		      " SELECT endpoint, inner_address FROM peer WHERE endpoint = ?1"),
	[DELETE_ALL] = "DELETE FROM peer WHERE endpoint = ?1",
	[DELETE_FREED] = "DELETE FROM freed WHERE endpoint = ?1",
	[DELETE_ENDPOINT] = "DELETE FROM endpoint WHERE address = ?1",
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
};

struct database {
	sqlite3 *sqlite;
	sqlite3_stmt *statements[N_STATEMENTS];
	bool is_new;
	char error[ERROR_SIZE]; /* what went wrong last */
};

/* Of what SQLite says, only what to do next matters here. */
static int errno_of(int result)
{
	switch (result & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EBADMSG;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_CONSTRAINT:
	case SQLITE_MISMATCH:
	case SQLITE_TOOBIG:
		return -EINVAL;
	default:
		return -EIO;
	}
}

/* Keeps the text of an error, since what undoes the call would have its own. */
static int error_of(struct database *database, int result)
{
	int error = errno_of(result);

	if (error < 0)
		snprintf(database->error, sizeof database->error, "%s",
			sqlite3_errmsg(database->sqlite));
	return error;
}

static int execute(struct database *database, const char *text)
{
	return error_of(database, sqlite3_exec(database->sqlite, text, NULL, NULL, NULL));
}

static int read_version(struct database *database, int *version)
{
	sqlite3_stmt *statement = NULL;
	int result =
		sqlite3_prepare_v2(database->sqlite, "PRAGMA user_version", -1, &statement, NULL);

	if (result == SQLITE_OK)
		result = sqlite3_step(statement);
	if (result == SQLITE_ROW)
		*version = sqlite3_column_int(statement, 0);
	sqlite3_finalize(statement);
	return error_of(database, result);
}

static int write_version(struct database *database, int version)
{
	char text[sizeof "PRAGMA user_version = " + 3 * sizeof version];

	snprintf(text, sizeof text, "PRAGMA user_version = %d", version);
	return execute(database, text);
}

/* All that an older version's file lacks is added here, a version at a time. */
static int bring_up_to_date(struct database *database)
{
	int version = 0, error = read_version(database, &version);

	if (error < 0 || version == SCHEMA_VERSION)
		return error;
	if (version < 0 || version > SCHEMA_VERSION) {
		snprintf(database->error, sizeof database->error,
			"its tables are of version %d, which is not known here", version);
		return -EBADMSG;
	}
	error = execute(database, "BEGIN IMMEDIATE");
	for (int i = version; i < SCHEMA_VERSION && error == 0; i++)
		error = execute(database, steps[i]);
	if (error == 0)
		error = write_version(database, SCHEMA_VERSION);
	if (error == 0)
		error = execute(database, "COMMIT");
	database->is_new = error == 0 && version == 0;
	return error;
}

static int prepare_all(struct database *database)
{
	for (int i = 0; i < N_STATEMENTS; i++) {
		int result = sqlite3_prepare_v3(database->sqlite, texts[i], -1,
			SQLITE_PREPARE_PERSISTENT, &database->statements[i], NULL);

		int error = error_of(database, result);

		/* A table or column that is missing is damage too. */
		if (error < 0)
			return result == SQLITE_ERROR ? -EBADMSG : error;
	}
	return 0;
}

int database_open(const char *name, struct database **result)
{
	struct database *database = calloc(1, sizeof *database);
	int error;

	*result = database;
	if (!database)
		return -ENOMEM;
	error = error_of(database,
		sqlite3_open_v2(name, &database->sqlite,
			SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL));
	if (error < 0)
		return error;
	sqlite3_busy_timeout(database->sqlite, BUSY_MS);
	/* A transaction is on the disk when its commit returns, also with WAL:
	 * sqlite.org/pragma.html
	 */
	error = execute(database, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
				  "PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;");
	if (error == 0)
		error = bring_up_to_date(database);
	return error == 0 ? prepare_all(database) : error;
}

int database_open_to_read(const char *name, struct database **result)
{
	struct database *database = calloc(1, sizeof *database);
	int error;

	*result = database;
	if (!database)
		return -ENOMEM;
	error = error_of(database, sqlite3_open_v2(name, &database->sqlite,
					   SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL));
	if (error < 0)
		return error;
	sqlite3_busy_timeout(database->sqlite, BUSY_MS);
	/* All tables are read as they are at one moment. */
	return execute(database, "PRAGMA trusted_schema = OFF; BEGIN");
}

struct sqlite3 *database_handle(struct database *database)
{
	return database->sqlite;
}

bool database_is_new(const struct database *database)
{
	return database->is_new;
}

const char *database_error(const struct database *database)
{
	return database ? database->error : "no memory";
}

void database_close(struct database *database)
{
	if (!database)
		return;
	for (int i = 0; i < N_STATEMENTS; i++)
		sqlite3_finalize(database->statements[i]);
	sqlite3_close(database->sqlite);
	free(database);
}

/* Writing */

static int run(struct database *database, enum statement which)
{
	sqlite3_stmt *statement = database->statements[which];
	int error = error_of(database, sqlite3_step(statement));

	sqlite3_reset(statement);
	/* It may have held a key. */
	sqlite3_clear_bindings(statement);
	return error;
}

int database_put_endpoint(struct database *database, const struct stored_endpoint *endpoint)
{
	row_bind_endpoint(database->statements[PUT_ENDPOINT], endpoint);
	return run(database, PUT_ENDPOINT);
}

static int run_for_address(
	struct database *database, enum statement which, const struct stored_peer *peer)
{
	sqlite3_stmt *statement = database->statements[which];

	row_bind_address(statement, 1, peer->bind);
	if (sqlite3_bind_parameter_count(statement) > 1)
		row_bind_address(statement, 2, peer->inner);
	return run(database, which);
}

static int put_peer(struct database *database, const struct stored_peer *peer)
{
	int error;

	row_bind_peer(database->statements[PUT_PEER], peer);
	error = run(database, PUT_PEER);
	return error < 0 ? error : run_for_address(database, UNFREE, peer);
}

static int run_both(struct database *database, enum statement first, enum statement second,
	const struct stored_peer *peer)
{
	int error = run_for_address(database, first, peer);

	return error < 0 ? error : run_for_address(database, second, peer);
}

static int forget(struct database *database, const struct stored_peer *peer)
{
	int error = run_both(database, DELETE_ALL, DELETE_FREED, peer);

	return error < 0 ? error : run_for_address(database, DELETE_ENDPOINT, peer);
}

static int write_order(struct database *database, const struct storing_message *order)
{
	switch (order->operation) {
	case STORING_PUT_ENDPOINT:
		return database_put_endpoint(database, &order->endpoint);
	case STORING_PUT_PEER:
		return put_peer(database, &order->peer);
	case STORING_FREE_ADDRESS:
		return run_both(database, DELETE_PEER, FREE, &order->peer);
	case STORING_FREE_ALL:
		return run_both(database, FREE_ALL, DELETE_ALL, &order->peer);
	case STORING_FORGET:
		return forget(database, &order->peer);
	case STORING_CLAIM:
	case STORING_CLAIM_REST:
	case STORING_CLAIM_IF_LEFT:
	case STORING_RELEASE:
		return 0; /* they change nothing here */
	default:
		return -EPROTO;
	}
}

/* One that the file does not take would hold up all that come after it, for ever. */
static int write_or_refuse(struct database *database, const struct storing_message *order,
	database_refused_fn *refused, void *context)
{
	int error = write_order(database, order);

	if (error != -EINVAL)
		return error;
	refused(context, order);
	return 0;
}

int database_write(struct database *database, const struct storing_message *orders, size_t n,
	database_refused_fn *refused, void *context)
{
	int error = run(database, BEGIN);

	for (size_t i = 0; i < n && error == 0; i++)
		error = write_or_refuse(database, &orders[i], refused, context);
	if (error == 0)
		error = run(database, COMMIT);
	if (error < 0 && !sqlite3_get_autocommit(database->sqlite))
		sqlite3_exec(database->sqlite, "ROLLBACK", NULL, NULL, NULL);
	return error;
}

/* Reading */

struct table {
	const char *text;
	void (*read)(sqlite3_stmt *row, struct storing_message *message);
};

/* bind: NULL, or of which endpoint. */
static int load_table(struct database *database, const struct table *table, const struct ipv4 *bind,
	database_row_fn *row, void *context, size_t *n_invalid)
{
	sqlite3_stmt *statement = NULL;
	int result = sqlite3_prepare_v2(database->sqlite, table->text, -1, &statement, NULL);
	int error = error_of(database, result);

	if (error == 0 && bind)
		row_bind_address(statement, 1, *bind);
	while (error == 0 && (result = sqlite3_step(statement)) == SQLITE_ROW) {
		struct storing_message message = {.version = STORING_VERSION}, checked;

		table->read(statement, &message);
		if (storing_decode_report(&message, sizeof message, &checked) < 0)
			++*n_invalid;
		else
			error = row(context, &message);
	}
	if (error == 0)
		error = error_of(database, result);
	sqlite3_finalize(statement);
	return error;
}

#define ENDPOINTS                                                                                  \
	"SELECT address, number, block, port, private_key, epoch, handshake_floor FROM endpoint"
#define PEERS                                                                                      \
	"SELECT endpoint, inner_address, kind, public_key, remote_address, outer_address,"         \
	" outer_port, made, active, name FROM peer"
#define FREED "SELECT endpoint, inner_address FROM freed"
#define OF_ONE " WHERE endpoint = ?1"
#define IN_ORDER " ORDER BY place"
#define BY_ACTIVITY " ORDER BY active" /* as the broker wants them, which has others to serve */

int database_load(struct database *database, database_row_fn *row, void *context, size_t *n_invalid)
{
	static const struct table tables[] = {
		{ENDPOINTS, row_read_endpoint},
		{PEERS, row_read_peer},
		{FREED IN_ORDER, row_read_freed},
	};
	int error = 0;

	*n_invalid = 0;
	for (size_t i = 0; i < sizeof tables / sizeof *tables && error == 0; i++)
		error = load_table(database, &tables[i], NULL, row, context, n_invalid);
	return error;
}

int database_load_one(struct database *database, struct ipv4 bind, database_row_fn *row,
	void *context, size_t *n_invalid)
{
	static const struct table endpoints = {ENDPOINTS, row_read_endpoint};
	static const struct table peers = {PEERS OF_ONE BY_ACTIVITY, row_read_peer};
	static const struct table freed = {FREED OF_ONE IN_ORDER, row_read_freed};
	int error;

	*n_invalid = 0;
	error = load_table(database, &endpoints, NULL, row, context, n_invalid);
	if (error == 0)
		error = load_table(database, &peers, &bind, row, context, n_invalid);
	return error < 0 ? error : load_table(database, &freed, &bind, row, context, n_invalid);
}
