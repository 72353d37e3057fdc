/* What etcd does not have yet, in SQLite. Runs in the store's process. */
#include "store/outbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "store/database.h"
#include "store/row.h"

/*
 * The tables are in the file. The triggers are this connection's own
 * (sqlite.org/lang_createtrigger. html): only where there is an etcd is anything kept for it. A
 * peer that was only active changes nothing but its group's record.
 */
static const char schema[] =
	"CREATE TABLE IF NOT EXISTS unsent (endpoint TEXT NOT NULL, inner_address TEXT NOT NULL,"
	" urgent INTEGER NOT NULL, PRIMARY KEY (endpoint, inner_address)) STRICT, WITHOUT ROWID;"
	"CREATE INDEX IF NOT EXISTS unsent_by_urgency ON unsent (endpoint, urgent);"
	"CREATE TABLE IF NOT EXISTS unsent_active (endpoint TEXT NOT NULL, begin TEXT NOT NULL,"
	" PRIMARY KEY (endpoint, begin)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS holder (endpoint TEXT PRIMARY KEY, value BLOB, next BLOB)"
	" STRICT, WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS collision (endpoint TEXT PRIMARY KEY, other TEXT NOT NULL)"
	" STRICT, WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS epoch (endpoint TEXT PRIMARY KEY, epoch INTEGER NOT NULL,"
	" floor INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE TEMP TRIGGER peer_put BEFORE INSERT ON main.peer BEGIN"
	" INSERT OR REPLACE INTO unsent SELECT NEW.endpoint, NEW.inner_address, 1"
	"  WHERE NOT EXISTS (SELECT 1 FROM peer WHERE endpoint = NEW.endpoint"
	"   AND inner_address = NEW.inner_address AND kind IS NEW.kind"
	"   AND public_key IS NEW.public_key AND remote_address IS NEW.remote_address"
	"   AND outer_address IS NEW.outer_address AND outer_port IS NEW.outer_port"
	"   AND made IS NEW.made AND name IS NEW.name);"
	" INSERT OR REPLACE INTO unsent_active"
	"  SELECT NEW.endpoint, rtrim(NEW.inner_address, '0123456789')"
	"  WHERE EXISTS (SELECT 1 FROM peer WHERE endpoint = NEW.endpoint"
	"   AND inner_address = NEW.inner_address AND active < NEW.active);"
	"END;"
	"CREATE TEMP TRIGGER peer_gone AFTER DELETE ON main.peer BEGIN"
	" INSERT OR REPLACE INTO unsent VALUES (OLD.endpoint, OLD.inner_address, 1);"
	"END;"
	"CREATE TEMP TRIGGER address_freed AFTER INSERT ON main.freed BEGIN"
	" INSERT OR REPLACE INTO unsent VALUES (NEW.endpoint, NEW.inner_address, 1);"
	"END;";

enum outbox_statement {
	TAKE,
	SENT,
	ADD_PEERS,
	ADD_FREED,
	CALM,
	FORGET,
	FORGET_ACTIVE,
	HAS,
	IS_FREED,
	TAKE_GROUP,
	READ_ACTIVE,
	SENT_ACTIVE,
	SET_ACTIVE,
	ADD_ACTIVE,
	EMPTY_PEERS,
	EMPTY_FREED,
	HAS_OWN_PEERS,
	HAS_PEERS,
	FIND_ENDPOINT,
	SET_HOLDER,
	SET_NEXT,
	KNOWS,
	SEE_EPOCH,
	FIND_EPOCH,
	SET_COLLISION,
	CLEAR_COLLISION,
	NEXT_COLLISION,
	DELETE_ENDPOINT,
	DELETE_HOLDER,
	N_STATEMENTS,
};

static const char *const texts[N_STATEMENTS] = {
	[TAKE] = ("SELECT u.endpoint, u.inner_address, kind, public_key, remote_address,"
		  " outer_address, outer_port, made, active, name, urgent, place, p.endpoint"
		  " FROM unsent AS u LEFT JOIN peer AS p USING (endpoint, inner_address)"
		  " LEFT JOIN freed USING (endpoint, inner_address)"
		  " WHERE u.endpoint = ?1 ORDER BY urgent DESC LIMIT ?2"),
	[SENT] = "DELETE FROM unsent WHERE endpoint = ?1 AND inner_address = ?2",
	[ADD_PEERS] = ("INSERT OR IGNORE INTO unsent"
		       " SELECT endpoint, inner_address, 0 FROM peer WHERE endpoint = ?1"),
	[ADD_FREED] = ("INSERT OR IGNORE INTO unsent"
		       " SELECT endpoint, inner_address, 0 FROM freed WHERE endpoint = ?1"),
	[FORGET] = "DELETE FROM unsent WHERE endpoint = ?1",
	[FORGET_ACTIVE] = "DELETE FROM unsent_active WHERE endpoint = ?1",
	[CALM] = "UPDATE unsent SET urgent = 0 WHERE endpoint = ?1",
	[IS_FREED] = "SELECT 1 FROM freed WHERE endpoint = ?1 AND inner_address = ?2",
	[HAS] = "SELECT 1 FROM unsent WHERE endpoint = ?1 AND inner_address = ?2",
	[TAKE_GROUP] = "SELECT begin || '0' FROM unsent_active WHERE endpoint = ?1 LIMIT 1",
	/* As a range, which the primary key finds; ':' comes behind all digits. */
	[READ_ACTIVE] = ("SELECT inner_address, active FROM peer WHERE endpoint = ?1"
			 " AND inner_address > rtrim(?2, '0123456789')"
			 " AND inner_address < rtrim(?2, '0123456789') || ':'"),
	[SENT_ACTIVE] = ("DELETE FROM unsent_active"
			 " WHERE endpoint = ?1 AND begin = rtrim(?2, '0123456789')"),
	[SET_ACTIVE] = ("UPDATE peer SET active = ?3"
			" WHERE endpoint = ?1 AND inner_address = ?2 AND active < ?3"),
	[ADD_ACTIVE] = ("INSERT OR IGNORE INTO unsent_active"
			" VALUES (?1, rtrim(?2, '0123456789'))"),
	[EMPTY_PEERS] = "DELETE FROM peer WHERE endpoint = ?1",
	[EMPTY_FREED] = "DELETE FROM freed WHERE endpoint = ?1",
	[HAS_OWN_PEERS] = ("SELECT 1 FROM peer JOIN endpoint ON endpoint = address"
			   " WHERE endpoint = ?1 AND epoch = 0"
			   " AND endpoint NOT IN (SELECT endpoint FROM holder) LIMIT 1"),
	[HAS_PEERS] = "SELECT 1 FROM peer WHERE endpoint = ?1 LIMIT 1",
	[FIND_ENDPOINT] = ("SELECT address, number, block, port, private_key, epoch,"
			   " handshake_floor FROM endpoint"
			   " WHERE address = ?1"),
	[SET_HOLDER] = "INSERT OR REPLACE INTO holder VALUES (?1, ?2, NULL)",
	[SET_NEXT] = ("INSERT INTO holder VALUES (?1, NULL, ?2)"
		      " ON CONFLICT DO UPDATE SET next = excluded.next"),
	[KNOWS] = "SELECT 1 FROM holder WHERE endpoint = ?1 AND (value = ?2 OR next = ?2)",
	[SEE_EPOCH] = ("INSERT INTO epoch VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET"
		       " epoch = max(epoch, excluded.epoch), floor = max(floor, excluded.floor)"
		       " WHERE excluded.epoch > epoch OR excluded.floor > floor"),
	[FIND_EPOCH] = "SELECT epoch, floor FROM epoch WHERE endpoint = ?1",
	[SET_COLLISION] = "INSERT OR REPLACE INTO collision VALUES (?1, ?2)",
	[CLEAR_COLLISION] = "DELETE FROM collision WHERE endpoint = ?1",
	[NEXT_COLLISION] = ("SELECT endpoint, other FROM collision WHERE endpoint > ?1"
			    " ORDER BY endpoint LIMIT 1"),
	[DELETE_ENDPOINT] = "DELETE FROM endpoint WHERE address = ?1",
	[DELETE_HOLDER] = "DELETE FROM holder WHERE endpoint = ?1",
};

struct outbox {
	sqlite3 *sqlite;
	sqlite3_stmt *statements[N_STATEMENTS];
};

static int execute(struct outbox *outbox, const char *text)
{
	return sqlite3_exec(outbox->sqlite, text, NULL, NULL, NULL) == SQLITE_OK ? 0 : -EIO;
}

int outbox_open(struct database *database, struct outbox **result)
{
	struct outbox *outbox = calloc(1, sizeof *outbox);
	int error = -EIO;

	if (!outbox)
		return error;
	outbox->sqlite = database_handle(database);
	/* What is promised is in etcd: this file may lose its end with the host, and only that. */
	error = execute(outbox, "PRAGMA synchronous = NORMAL");
	if (error == 0)
		error = execute(outbox, schema);
	for (int i = 0; i < N_STATEMENTS && error == 0; i++)
		if (sqlite3_prepare_v3(outbox->sqlite, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
			    &outbox->statements[i], NULL) != SQLITE_OK)
			error = -EIO;
	if (error < 0) {
		outbox_close(outbox);
		return error;
	}
	*result = outbox;
	return 0;
}

void outbox_close(struct outbox *outbox)
{
	if (!outbox)
		return;
	for (int i = 0; i < N_STATEMENTS; i++)
		sqlite3_finalize(outbox->statements[i]);
	free(outbox);
}

/* Statements */

static sqlite3_stmt *bind_address(
	struct outbox *outbox, enum outbox_statement which, int place, struct ipv4 address)
{
	sqlite3_stmt *statement = outbox->statements[which];

	sqlite3_bind_text(statement, place, ipv4_text(address).s, -1, SQLITE_TRANSIENT);
	return statement;
}

/* Returns 1 if there is a row, 0 at the end, or -EIO. */
static int step(sqlite3_stmt *statement)
{
	int result = sqlite3_step(statement);

	return result == SQLITE_ROW ? 1 : result == SQLITE_DONE ? 0 : -EIO;
}

static void reset(sqlite3_stmt *statement)
{
	sqlite3_reset(statement);
	/* They may have held a key. */
	sqlite3_clear_bindings(statement);
}

/* Likewise, of one whose rows nobody reads. */
static int run(sqlite3_stmt *statement)
{
	int result = step(statement);

	reset(statement);
	return result;
}

static int run_for(struct outbox *outbox, enum outbox_statement which, struct ipv4 bind)
{
	return run(bind_address(outbox, which, 1, bind));
}

static int run_for_both(
	struct outbox *outbox, enum outbox_statement which, struct ipv4 bind, struct ipv4 inner)
{
	bind_address(outbox, which, 1, bind);
	return run(bind_address(outbox, which, 2, inner));
}

/* What is unsent */

static void read_entry(sqlite3_stmt *row, struct outbox_entry *entry)
{
	*entry = (struct outbox_entry){.message.version = STORING_VERSION};
	row_read_peer(row, &entry->message);
	entry->is_urgent = sqlite3_column_int(row, 10) != 0;
	if (sqlite3_column_type(row, 12) != SQLITE_NULL)
		return;
	/* Nobody has the address. */
	entry->message.operation = STORING_FREED;
	entry->place = (uint64_t)sqlite3_column_int64(row, 11);
}

int outbox_take(struct outbox *outbox, struct ipv4 bind, struct outbox_entry *entries, size_t max)
{
	sqlite3_stmt *statement = bind_address(outbox, TAKE, 1, bind);
	size_t n = 0;
	int more;

	sqlite3_bind_int64(statement, 2, (sqlite3_int64)max);
	while ((more = step(statement)) > 0)
		read_entry(statement, &entries[n++]);
	reset(statement);
	return more < 0 ? more : (int)n;
}

/* Of a transaction: in whole, or after an error not at all. */
static int end(struct outbox *outbox, int error)
{
	if (error == 0)
		error = execute(outbox, "COMMIT");
	if (error < 0 && !sqlite3_get_autocommit(outbox->sqlite))
		execute(outbox, "ROLLBACK");
	return error;
}

int outbox_sent(struct outbox *outbox, const struct outbox_entry *entries, size_t n)
{
	int error = execute(outbox, "BEGIN IMMEDIATE");

	for (size_t i = 0; i < n && error == 0; i++)
		error = run_for_both(
			outbox, SENT, entries[i].message.peer.bind, entries[i].message.peer.inner);
	return end(outbox, error);
}

static int run_two(struct outbox *outbox, enum outbox_statement first, enum outbox_statement second,
	struct ipv4 bind)
{
	int error = run_for(outbox, first, bind);

	return error < 0 ? error : run_for(outbox, second, bind);
}

int outbox_add_all(struct outbox *outbox, struct ipv4 bind)
{
	return run_two(outbox, ADD_PEERS, ADD_FREED, bind);
}

int outbox_calm(struct outbox *outbox, struct ipv4 bind)
{
	return run_for(outbox, CALM, bind);
}

int outbox_forget(struct outbox *outbox, struct ipv4 bind)
{
	return run_two(outbox, FORGET, FORGET_ACTIVE, bind);
}

bool outbox_has(struct outbox *outbox, struct ipv4 bind, struct ipv4 inner)
{
	return run_for_both(outbox, HAS, bind, inner) > 0;
}

bool outbox_is_freed(struct outbox *outbox, struct ipv4 bind, struct ipv4 inner)
{
	return run_for_both(outbox, IS_FREED, bind, inner) > 0;
}

/* Activity */

static int read_active(
	struct outbox *outbox, struct ipv4 bind, struct ipv4 first, uint32_t active_s[OUTBOX_GROUP])
{
	sqlite3_stmt *statement = bind_address(outbox, READ_ACTIVE, 1, bind);
	int more;

	memset(active_s, 0, OUTBOX_GROUP * sizeof *active_s);
	bind_address(outbox, READ_ACTIVE, 2, first);
	while ((more = step(statement)) > 0)
		active_s[row_address(statement, 0).value % OUTBOX_GROUP] =
			(uint32_t)sqlite3_column_int64(statement, 1);
	reset(statement);
	return more;
}

int outbox_take_active(struct outbox *outbox, struct ipv4 bind, struct ipv4 *first,
	uint32_t active_s[OUTBOX_GROUP])
{
	sqlite3_stmt *statement = bind_address(outbox, TAKE_GROUP, 1, bind);
	int found = step(statement), error;

	if (found > 0)
		*first = row_address(statement, 0);
	reset(statement);
	if (found <= 0)
		return found;
	error = read_active(outbox, bind, *first, active_s);
	return error < 0 ? error : 1;
}

int outbox_sent_active(struct outbox *outbox, struct ipv4 bind, struct ipv4 first)
{
	return run_for_both(outbox, SENT_ACTIVE, bind, first);
}

int outbox_set_active(struct outbox *outbox, struct ipv4 bind, struct ipv4 first,
	const uint32_t active_s[OUTBOX_GROUP])
{
	int error = run_for_both(outbox, ADD_ACTIVE, bind, first);

	for (uint32_t i = 0; i < OUTBOX_GROUP && error >= 0; i++) {
		if (active_s[i] == 0)
			continue;
		bind_address(outbox, SET_ACTIVE, 1, bind);
		sqlite3_bind_int64(outbox->statements[SET_ACTIVE], 3, active_s[i]);
		error = run(bind_address(outbox, SET_ACTIVE, 2, (struct ipv4){first.value + i}));
	}
	return error;
}

/* Endpoints */

int outbox_empty(struct outbox *outbox, struct ipv4 bind)
{
	int error = run_two(outbox, EMPTY_PEERS, EMPTY_FREED, bind);

	return error < 0 ? error : outbox_forget(outbox, bind);
}

bool outbox_has_own_peers(struct outbox *outbox, struct ipv4 bind)
{
	return run_for(outbox, HAS_OWN_PEERS, bind) > 0;
}

bool outbox_has_peers(struct outbox *outbox, struct ipv4 bind)
{
	return run_for(outbox, HAS_PEERS, bind) != 0;
}

int outbox_find_endpoint(struct outbox *outbox, struct ipv4 bind, struct stored_endpoint *endpoint)
{
	sqlite3_stmt *statement = bind_address(outbox, FIND_ENDPOINT, 1, bind);
	struct storing_message message = {0};
	int found = step(statement);

	if (found > 0)
		row_read_endpoint(statement, &message);
	reset(statement);
	*endpoint = message.endpoint;
	return found > 0 && endpoint->length <= 32;
}

static int run_with_value(struct outbox *outbox, enum outbox_statement which, struct ipv4 bind,
	const uint8_t *value, size_t size)
{
	sqlite3_stmt *statement = bind_address(outbox, which, 1, bind);

	sqlite3_bind_blob(statement, 2, value, (int)size, SQLITE_TRANSIENT);
	return run(statement);
}

int outbox_set_holder(struct outbox *outbox, struct ipv4 bind, const uint8_t *value, size_t size)
{
	return run_with_value(outbox, SET_HOLDER, bind, value, size);
}

int outbox_set_next_holder(
	struct outbox *outbox, struct ipv4 bind, const uint8_t *value, size_t size)
{
	return run_with_value(outbox, SET_NEXT, bind, value, size);
}

bool outbox_knows_holder(struct outbox *outbox, struct ipv4 bind, const uint8_t *value, size_t size)
{
	return run_with_value(outbox, KNOWS, bind, value, size) > 0;
}

/* Epochs */

int outbox_see_epoch(struct outbox *outbox, struct ipv4 bind, uint64_t epoch, uint64_t floor)
{
	sqlite3_stmt *statement = bind_address(outbox, SEE_EPOCH, 1, bind);

	sqlite3_bind_int64(statement, 2, (sqlite3_int64)epoch);
	sqlite3_bind_int64(statement, 3, (sqlite3_int64)floor);
	return run(statement);
}

int outbox_find_epoch(struct outbox *outbox, struct ipv4 bind, uint64_t *epoch, uint64_t *floor)
{
	sqlite3_stmt *statement = bind_address(outbox, FIND_EPOCH, 1, bind);
	int found = step(statement);

	*epoch = found > 0 ? (uint64_t)sqlite3_column_int64(statement, 0) : 0;
	*floor = found > 0 ? (uint64_t)sqlite3_column_int64(statement, 1) : 0;
	reset(statement);
	return found < 0 ? found : 0;
}

/* Collisions */

int outbox_set_collision(struct outbox *outbox, struct ipv4 bind, struct ipv4 other)
{
	return run_for_both(outbox, SET_COLLISION, bind, other);
}

int outbox_clear_collision(struct outbox *outbox, struct ipv4 bind)
{
	return run_for(outbox, CLEAR_COLLISION, bind);
}

int outbox_next_collision(struct outbox *outbox, struct ipv4 *bind, struct ipv4 *other)
{
	sqlite3_stmt *statement = bind_address(outbox, NEXT_COLLISION, 1, *bind);
	int found = step(statement);

	if (found > 0) {
		*bind = row_address(statement, 0);
		*other = row_address(statement, 1);
	}
	reset(statement);
	return found;
}

int outbox_abandon(struct outbox *outbox, struct ipv4 bind)
{
	static const enum outbox_statement statements[] = {
		EMPTY_PEERS,
		EMPTY_FREED,
		DELETE_ENDPOINT,
		DELETE_HOLDER,
		CLEAR_COLLISION,
		/* what the first of these have left to be sent */
		FORGET,
		FORGET_ACTIVE,
	};
	int error = execute(outbox, "BEGIN IMMEDIATE");

	for (size_t i = 0; i < sizeof statements / sizeof *statements && error == 0; i++)
		error = run_for(outbox, statements[i], bind);
	return end(outbox, error);
}
