/*
 * What the client and the process that asks the server for it say to each other over a
 * SOCK_SEQPACKET socket: one struct a packet, in this order. Both are the same program, so integers
 * are in the machine's byte order. The client does not trust what it is told: see fetch_decode().
 */
#pragma once

#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "client/pin.h"
#include "client/tunnel.h"

enum {
	FETCH_FD = 3, /* where the process has the socket */
	FETCH_SERVER_MAX = 256, /* a name's 253 bytes: RFC 1035, 3.1 */
	FETCH_PATH_MAX = 32,
	FETCH_PASSWORD_MAX = 4097,
	FETCH_TEXT_MAX = 256,
};

/* 1. Client to process. Texts end in a NUL. */
struct fetch_request {
	char server[FETCH_SERVER_MAX]; /* a name, or an address */
	struct ipv4 address; /* where it was last; 0.0.0.0: look it up */
	char path[FETCH_PATH_MAX];
	uint32_t tunnel; /* enum tunnel_kind: which grant is expected */
	struct key public_key; /* ours; WireGuard */
	char password[FETCH_PASSWORD_MAX];
	char ca_file[PATH_MAX]; /* "": none */
	uint32_t mark; /* of the packets, for policy rules to tell them by; 0: none */
	uid_t user; /* to run as */
	gid_t group;
	uint32_t log_level, log_format;
};

/* 2. Process to client, before anything but TLS has been said to the server. */
struct fetch_seen {
	struct pin pin; /* the server's */
	uint32_t certified; /* its certificate is good by ca_file and is the server's */
	char fault[FETCH_TEXT_MAX]; /* why it is not */
};

/* 3. Client to process, if it shall go on; else the socket is closed. */
struct fetch_verdict {
	uint32_t go_on; /* 1 */
};

enum fetch_outcome {
	FETCH_GRANTED = 1, /* a 200 with a sound grant */
	FETCH_ANSWERED, /* any other status */
	FETCH_FAILED, /* no answer; text says why */
	FETCH_REFUSED, /* by the client, which did not trust the server; text says why */
};

/* 4. Process to client. */
struct fetch_result {
	uint32_t outcome; /* enum fetch_outcome */
	uint32_t status; /* HTTP's; 0 without an answer */
	uint32_t has_retry_after;
	uint32_t retry_after_s;
	struct tunnel tunnel; /* server and local also without a grant, if there was a connection */
	char text[FETCH_TEXT_MAX]; /* the answer's first line, or what failed */
};

/* Check what came from the process. Return 0 or -EPROTO. */
int fetch_decode_seen(const void *packet, size_t length, struct fetch_seen *seen);
int fetch_decode_result(const void *packet, size_t length, struct fetch_result *result);
