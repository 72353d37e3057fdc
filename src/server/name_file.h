/*
 * Which name each peer has, in a file of the runtime folder, where there is no store
 * (--store=none): the server after this one is told by it whose the tunnels are that it finds. It
 * ends with a reboot, as they do.
 */
#pragma once

#include <stdbool.h>

#include "server/lock.h"

#define NAME_FILE RUN_FOLDER "/names"

struct endpoint;
struct endpoint_list;
struct event_base;
struct name_file;
struct peer;

/*
 * Reads what the server before this one has written; that there is something which cannot be read
 * is logged. endpoints stay the caller's. NULL if there is no memory, which is logged: then names
 * are kept in memory alone, and all functions may be given it.
 */
struct name_file *name_file_open(const struct endpoint_list *endpoints);
/* is_of_use: tunnels stay, for the next server. Else the file goes. */
void name_file_close(struct name_file *file, bool is_of_use);
/* Where there is a store, what an earlier server has written is of no use. */
void name_file_remove(void);

/* Gives the peers that were found at an endpoint their names, where the file has the same peer at
 * the same inner address. */
void name_file_recall(const struct name_file *file, struct endpoint *endpoint);
/* All that were found have been recalled: writes the file anew, as it will be later by the base's
 * loop, a slice at a time. */
void name_file_begin(struct name_file *file, struct event_base *base);
/* The loop has ended: nothing is written anew any more. Nothing may be recorded from here on. */
void name_file_settle(struct name_file *file);

/* A peer has this name from now on, or none; to be called before that is answered. That it cannot
 * be written is logged once. */
void name_file_record(
	struct name_file *file, const struct endpoint *endpoint, const struct peer *peer);
