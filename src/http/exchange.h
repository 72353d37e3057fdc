/*
 * One request to a web server and its answer, in clear or by TLS, over a connection of its own that
 * nobody waits for: for processes that wait with poll(2), and that have no files to open. How long
 * it may take in all is a deadline; slow bytes do not extend it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <openssl/types.h>

#include "http/http_answer.h"

enum {
	EXCHANGE_FAULT_SIZE = 256, /* with the final NUL */
	EXCHANGE_ANSWER_MAX = 32 * 1024, /* bytes, headers included */
};

enum exchange_state {
	EXCHANGE_IDLE,
	EXCHANGE_CONNECTING,
	EXCHANGE_SHAKING, /* hands, by TLS */
	EXCHANGE_SENDING,
	EXCHANGE_RECEIVING,
	EXCHANGE_DONE, /* .answer has it */
	EXCHANGE_FAILED, /* .fault says why */
};

struct exchange_target {
	SSL_CTX *tls; /* of tls_client_new(); NULL: in clear. The caller's */
	const char *server; /* whom the certificate must be for; the caller's */
	struct sockaddr_storage address;
	socklen_t address_length;
	bool has_socket; /* .socket is taken for the exchange, and closed; else it makes its own */
	int socket; /* of TCP, that does not block */
};

/* Zeroed, it is idle. */
struct web_exchange {
	enum exchange_state state;
	int fd; /* to be polled for .events while it is neither idle, done nor failed */
	short events;
	struct http_answer answer; /* as long as the exchange is not ended */
	char fault[EXCHANGE_FAULT_SIZE];

	/* Its own. */
	const struct exchange_target *target;
	SSL *ssl;
	char *request, *data;
	size_t length, sent, used;
	uint64_t deadline_ms;
};

/* Begins: of one that is idle. Copies the request, and wipes the copy when it has been sent. What
 * fails shows in the state. deadline_ms: of the system's clock. */
void exchange_begin(struct web_exchange *exchange, const struct exchange_target *target,
	const char *request, size_t length, uint64_t deadline_ms);
/* To be called when the socket is ready, and when the deadline has passed. */
void exchange_advance(struct web_exchange *exchange);
/* Waits for the end, at the most until the deadline. */
void exchange_finish(struct web_exchange *exchange);
/* Frees what it has: it is idle then. */
void exchange_end(struct web_exchange *exchange);
