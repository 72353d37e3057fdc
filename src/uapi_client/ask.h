/*
 * Asks a userspace device over its control socket: WireGuard's cross-platform UAPI
 * (wireguard.com/xplatform), and what device/uapi adds to it for IPIP. A request is text, one
 * "key=value" a line, with an empty line at its end. Its answer is the same, with "errno=-N" last.
 */
#pragma once

#include <stdbool.h>

enum { UAPI_CLIENT_REQUEST_SIZE = 512 }; /* bytes that a request about one peer can need */

/*
 * Sends a whole request, its final empty line included, to the device of this name and waits for
 * the answer: 3 s at the most, or, where the answer is wanted, for each part of it, and 10 s in
 * all. Returns 0, the answer's errno,
 * negative, or -errno: -ENODEV if no device listens, -ETIMEDOUT if it hangs. answer (NULL: not
 * wanted) becomes the text up to the errno line, for the caller to free; where it holds a private
 * key, to wipe too.
 */
int uapi_client_ask(const char *name, const char *request, char **answer);

/* A connection to a device that stays open between questions. Zeroed, it is not open yet. */
struct uapi_client_connection {
	bool is_open;
	int fd;
};

/* Like uapi_client_ask() where no answer is wanted, over this connection. It is opened where it is
 * not open, or its device has ended since: then the one that has the name now is asked. */
int uapi_client_ask_on(
	struct uapi_client_connection *connection, const char *name, const char *request);
/* It may be open or not; the next question opens it again. */
void uapi_client_close(struct uapi_client_connection *connection);

/* Which process listens for a device of this name; after a handover the one before, which has
 * ended. Returns its pid, or -errno as uapi_client_ask(). */
int uapi_client_pid(const char *name);

/* Splits the next "key=value" line off an answer, in place. False at its end. */
bool uapi_client_next_line(char **answer, char **key, char **value);
