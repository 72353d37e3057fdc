/*
 * What is said on a connection from its first byte to the end of the answer: TLS, one request and
 * one answer. It knows the socket, but neither events nor time: it does what can be done at once,
 * and returns what it needs next.
 */
#pragma once

#include <stdbool.h>

#include <openssl/types.h>

#include "gate/client_address.h"
#include "gate/response.h"
#include "gate/routes.h"
#include "ipc/message.h"

enum need {
	NEED_NOTHING, /* it is done */
	NEED_READ, /* more to read: to be called again when there is something */
	NEED_WRITE, /* room to write: to be called again when there is some */
	NEED_BROKER, /* an answer of the broker's */
	NEED_KEY, /* that the client's token is signed with: tls_http_find_key() */
	NEED_SIGNATURE, /* the signer's: to be called again when it is there, or will never be */
	NEED_JOB, /* of the library's, ASYNC_start_job(3): to be called again when one is free */
	NEED_TURN, /* others to have their turn first, or a pause to be over */
	NEED_CLOSE, /* nothing any more: tls_http_fault() */
};

struct tls_http;

/*
 * On a connected, non-blocking socket, which stays the caller's, as do routes and client. Returns
 * NULL if there is no memory or the library fails: tls_error(). Nothing is served without TLS.
 */
struct tls_http *tls_http_new(
	SSL_CTX *tls, int fd, const struct routes *routes, const struct client_address *client);

/* Says goodbye in TLS, so that the client knows that nothing was cut off, and wipes what the client
 * sent. NULL is fine. */
void tls_http_free(struct tls_http *tls_http);

/* Whether a byte of the request has come; whether its head has, and passed all checks. */
bool tls_http_has_begun(const struct tls_http *tls_http);
bool tls_http_is_admitted(const struct tls_http *tls_http);

/* The first to be called, until it is done. One that needs a signature must not be freed. */
enum need tls_http_handshake(struct tls_http *tls_http);

/*
 * Reads the request, and sends 100 Continue where the client waits for it. Done when an answer is
 * ready for tls_http_write(); with NEED_BROKER, the broker is to be asked tls_http_request(), and
 * tls_http_answer() makes what it replies an answer. draining: refuse what needs the broker.
 */
enum need tls_http_read(struct tls_http *tls_http, bool draining);
/* After NEED_KEY, now and then: goes on if the key is there by now, or, where it is too late for
 * that, with the refusal. Returns as the one above. */
enum need tls_http_find_key(struct tls_http *tls_http, bool is_late, bool draining);
const struct ipc_request *tls_http_request(const struct tls_http *tls_http);
void tls_http_answer(struct tls_http *tls_http, const struct ipc_reply *reply);

/* The answer, once there is one. */
const struct response *tls_http_response(const struct tls_http *tls_http);

/* Sends it, and says goodbye in TLS with it, in one packet where it fits into one. */
enum need tls_http_write(struct tls_http *tls_http);

/* After NEED_CLOSE: what failed, or NULL if the client has closed. */
const char *tls_http_fault(const struct tls_http *tls_http);
