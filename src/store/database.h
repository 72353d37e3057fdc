/*
 * The store's file: what is promised, in SQLite. An operator can read it with sqlite3(1); addresses
 * and keys are texts in it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "ipc/storing.h"

struct database;

/*
 * Opens the file of this name, or makes it. Returns 0 or -errno: -EIO, which may pass, -EBADMSG if
 * it is damaged, or made by a newer version; why is in database_error(). To be closed with
 * database_close() in either case, if *database is not NULL.
 */
int database_open(const char *name, struct database **database);

/*
 * Opens the file of this name, of this version, to read it as it is at this moment, while another
 * process may write it. Returns as database_open(); -EIO too if it is not there.
 */
int database_open_to_read(const char *name, struct database **database);

/* Whether the file was made, or its tables were, when it was opened: nothing is in it. */
bool database_is_new(const struct database *database);

typedef int database_row_fn(void *context, const struct storing_message *message);
/* Calls back for each row: endpoints, peers, then freed addresses, the one freed longest ago first.
 * A row that makes no sense is passed over, and counted in *n_invalid. A callback's non-zero result
 * ends it and is returned. Else 0 or as database_open(). */
int database_load(
	struct database *database, database_row_fn *row, void *context, size_t *n_invalid);
/* Likewise, but of peers and freed addresses only those of one endpoint. */
int database_load_one(struct database *database, struct ipv4 bind, database_row_fn *row,
	void *context, size_t *n_invalid);

/* The file does not take this one, whenever it is tried: a rule of its tables is against it, such
 * as one that an operator has added. Why is in database_error(). */
typedef void database_refused_fn(void *context, const struct storing_message *order);

/* Writes n orders, all of them or none, but for those that are refused: they are on the disk when
 * it returns 0. Else as database_open(), and -EIO: it may work later. */
int database_write(struct database *database, const struct storing_message *orders, size_t n,
	database_refused_fn *refused, void *context);

/* In place of the one of its address, by itself. Returns as database_write(). */
int database_put_endpoint(struct database *database, const struct stored_endpoint *endpoint);

struct sqlite3;
/* What SQLite knows it by; it stays the database's. */
struct sqlite3 *database_handle(struct database *database);

/* Why the last call failed; until the next one. */
const char *database_error(const struct database *database);
/* NULL is fine. */
void database_close(struct database *database);
