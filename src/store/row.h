/* How endpoints and peers stand in rows of the store's file. */
#pragma once

#include "ipc/storing.h"

struct sqlite3_stmt;

/* The columns address, number, block, port, private_key, epoch, handshake_floor; as places of a
 * statement, from 1. */
void row_bind_endpoint(struct sqlite3_stmt *statement, const struct stored_endpoint *endpoint);
/* Likewise endpoint, inner_address, kind, public_key, remote_address, outer_address, outer_port,
 * made, active, name. */
void row_bind_peer(struct sqlite3_stmt *statement, const struct stored_peer *peer);
/* 0.0.0.0 is NULL there. */
void row_bind_address(struct sqlite3_stmt *statement, int place, struct ipv4 address);

/* From a row of these columns a STORING_ENDPOINT or a STORING_PEER; from one of endpoint and
 * inner_address a STORING_FREED. What is read may make no sense: storing_decode_report() tells. */
void row_read_endpoint(struct sqlite3_stmt *row, struct storing_message *message);
void row_read_peer(struct sqlite3_stmt *row, struct storing_message *message);
void row_read_freed(struct sqlite3_stmt *row, struct storing_message *message);
/* 0.0.0.0 where it is none; columns count from 0. */
struct ipv4 row_address(struct sqlite3_stmt *row, int column);
