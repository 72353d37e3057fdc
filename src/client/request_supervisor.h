/*
 * The client's side of a request: gets a token to show, where there is a source of such and none
 * that is good (token_source.h), has the server's name looked up, and its addresses asked in turn,
 * each by a process of its own; decides whether who answers is the right server, and receives the
 * result. One request at a time.
 *
 * A next address is begun when one has failed, or has taken CONNECT_DELAY_MS, while the others go
 * on (RFC 8305, 5): whoever first has shaken hands, TLS included, and is the right server, is
 * asked; the others are left.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "client/address_order.h"
#include "client/config.h"
#include "client/request_attempt.h"
#include "client/request_message.h"
#include "client/token_request.h"

struct event;
struct event_base;

enum { CONNECT_DELAY_MS = 250 };

/* Called once for each request that was started and not cancelled. */
typedef void request_result_fn(void *context, const struct request_result *result);

struct request_supervisor {
	const struct client_config *config;
	struct event_base *base;
	request_result_fn *on_result;
	void *context;
	uid_t user; /* whom the process runs as */
	gid_t group;
	struct key public_key, client_id;
	uint32_t mark;

	struct event *timeout, *next;
	char path[REQUEST_PATH_MAX];
	struct ipv4 address; /* as it was started with */
	struct token_request token; /* that the server is shown; before all else */
	struct request_attempt look_up;
	struct request_attempt attempts[REQUEST_ADDRESSES_MAX]; /* in turn */
	size_t n_addresses, n_begun;
	struct request_attempt *winner; /* NULL: none yet */
	struct pin seen; /* the winner's key */
	struct request_result result; /* so far */
	struct address_order order; /* of the name's addresses; whoever tries tunnels says what
				     * works */
};

/* Fills in the user: as user_find(NULL). 0 or -errno, logged. */
int request_supervisor_find_user(struct request_supervisor *supervisor);

/*
 * Asks for a path. address: where the server was last, 0.0.0.0 to look its name up. What fails
 * comes out as a result too, later.
 */
void request_supervisor_start(struct request_supervisor *supervisor, const char *path,
	struct ipv4 address, unsigned int time_ms);

/* Writes whose answer the request that is under way waits for: a sentence, for the log. */
void request_supervisor_describe(
	const struct request_supervisor *supervisor, char *text, size_t size);

/* Ends the processes, if there are any. */
void request_supervisor_cancel(struct request_supervisor *supervisor);
