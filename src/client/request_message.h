/*
 * The messages between the client and the process that asks the server for it, over a
 * SOCK_SEQPACKET socket: one struct a packet, in this order. Both are the same program, so integers
 * are in the machine's byte order. The client does not trust what it gets: see
 * request_decode_*(). A process that is to look up a name answers its order with 1a., or 4. if it
 * fails, and ends. One that is to get a token has 1b. too, and answers it with 1c., or 4. if it
 * fails.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/resolvers.h"
#include "client/tunnel.h"
#include "http/pin.h"
#include "http/web_place.h"

enum {
	REQUEST_ADDRESSES_MAX = 64, /* of a name: others are left out */
	CONTROL_PORT = 443, /* of TCP: docs/api.md */
	REQUEST_FD = 3, /* where the process has the socket */
	REQUEST_SERVER_MAX = 256, /* a name's 253 bytes: RFC 1035, 3.1 */
	REQUEST_PATH_MAX = 32,
	REQUEST_PASSWORD_MAX = 4097,
	REQUEST_TEXT_MAX = 256,
	REQUEST_BEARER_MAX = 8192,
};

/* The paths that are asked by GET: docs/api.md. The first answers, with 200, what the server sees.
 */
#define REQUEST_ROOT "/"
#define REQUEST_VERSION "/version"

/* 1. Client to process: what to ask whom for. Texts end in a NUL. */
struct request_order {
	char server[REQUEST_SERVER_MAX]; /* a name, or an address */
	struct ipv4 address; /* where it is; 0.0.0.0: look the name up, and no more */
	char path[REQUEST_PATH_MAX];
	uint32_t tunnel; /* enum tunnel_kind: which grant is expected */
	struct key public_key; /* ours; WireGuard */
	struct key client_id; /* ours, random: docs/api.md, Vprox-Client */
	char ca_file[PATH_MAX]; /* "": none */
	uint32_t mark; /* of the packets, by which policy rules know them; 0: none */
	uid_t user; /* to run as */
	gid_t group;
	uint32_t log_level, log_format;
	uint32_t wants_token; /* 1: get a token where 1b. says, and no more */
};

/* 1a. Process to client: the addresses of the name. */
struct request_names {
	uint32_t n; /* at least 1 */
	struct ipv4 addresses[REQUEST_ADDRESSES_MAX]; /* none is 0.0.0.0 */
};

/* 1b. Client to process: where it gets a token for the client to show. */
struct request_token_order {
	struct web_place place;
	struct request_names names; /* where that server is */
	char bearer[REQUEST_BEARER_MAX]; /* what is shown to it */
};

/* 1c. Process to client: the token, of printable characters without blanks. */
struct request_token {
	int64_t expires_s; /* since 1970, as it says itself; 0: it does not */
	char token[REQUEST_PASSWORD_MAX];
};

/* 2. Process to client: who the server is, before anything but TLS has been sent to the server. */
struct request_server {
	struct pin pin; /* the server's */
	uint32_t certified; /* its certificate is good by ca_file and is the server's */
	char fault[REQUEST_TEXT_MAX]; /* why it is not */
};

/* 3. Client to process, if it shall go on; else the socket is closed. Only now has it the password:
 * a false server can have taken it over by then. */
struct request_verdict {
	uint32_t go_on; /* 1 */
	char password[REQUEST_PASSWORD_MAX];
};

enum request_outcome {
	REQUEST_GRANTED = 1, /* a 200 with a valid grant */
	REQUEST_ANSWERED, /* any other status, or one of a path that is asked by GET */
	REQUEST_FAILED, /* no answer; text says why */
	REQUEST_REFUSED, /* by the client, which did not trust the server; text says why */
};

/* 4. Process to client: what came of it. */
struct request_result {
	uint32_t outcome; /* enum request_outcome */
	uint32_t status; /* HTTP's; 0 without an answer */
	uint32_t has_retry_after;
	uint32_t retry_after_s;
	struct tunnel tunnel; /* server and local also without a grant, if there was a connection */
	struct resolvers resolvers; /* that the server announces */
	char text[REQUEST_TEXT_MAX]; /* the answer's first line, or what failed */
};

/* Whether a header can have it as a token. */
bool request_is_token(const char *text);

/* Check what came from the process. Return 0 or -EPROTO. */
int request_decode_names(const void *packet, size_t length, struct request_names *names);
int request_decode_token(const void *packet, size_t length, struct request_token *token);
int request_decode_server(const void *packet, size_t length, struct request_server *seen);
int request_decode_result(const void *packet, size_t length, struct request_result *result);
