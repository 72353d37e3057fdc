/*
 * Who the servers were the first time: a file of lines "SERVER sha256//BASE64". A server may have
 * several lines, any of which it may be. Lines that begin with # are comments.
 */
#pragma once

#include "http/pin.h"

enum known_server {
	SERVER_KNOWN, /* by this key */
	SERVER_NEW, /* and now remembered */
	SERVER_CHANGED, /* known, by another key: former is one of those */
};

/*
 * Compares a server's key with the one that it had, and remembers it if it had none; of two clients
 * that do so at once, one is the first. The file is made, mode 0600, with its folder, if need be.
 * Returns an enum known_server, or -errno; -EBADMSG if a line is none.
 */
int known_servers_check(
	const char *path, const char *server, const struct pin *pin, struct pin *former);

/* The same, and remembers nothing. */
int known_servers_look_up(
	const char *path, const char *server, const struct pin *pin, struct pin *former);
