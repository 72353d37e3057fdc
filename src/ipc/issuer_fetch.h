/*
 * The messages between the broker and a process that fetches one issuer's keys, over a
 * SOCK_SEQPACKET socket: one struct a packet, of the full size. The broker checks what it gets:
 * that process reads what the Internet sends.
 */
#pragma once

#include <stdint.h>

#include "ipc/issuer.h"

enum {
	ISSUER_FETCH_VERSION = 1,
	ISSUER_FAULT_SIZE = 192,

	/* The file descriptors it starts with, besides 0 to 2. */
	ISSUER_FETCH_FD_BROKER = 3,
	ISSUER_FETCH_FD_AUTHORITIES =
		4, /* certificates in PEM that servers are to be certified by */
};

/* The first packet. */
struct issuer_fetch_config {
	uint32_t version; /* ISSUER_FETCH_VERSION */
	uint32_t number; /* of the issuer, for the log */
	uint32_t user; /* to run as */
	uint32_t group;
	uint32_t log_level; /* enum log_level */
	uint32_t log_format; /* enum log_format */
	char url[ISSUER_URL_SIZE]; /* the issuer's */
};

/* Broker to process: fetch them now. */
struct issuer_fetch_order {
	uint32_t version;
};

/* Process to broker, after each try. */
struct issuer_fetched {
	uint32_t version;
	uint32_t n; /* 0: it has failed */
	char fault[ISSUER_FAULT_SIZE]; /* why, in printable ASCII; "": it has not */
	struct issuer_key keys[ISSUER_KEYS_MAX];
};

/*
 * Send or receive one packet on a non-blocking socket. Return 0 or -errno: -EAGAIN, -EPROTO for
 * what does not decode, -EPIPE or -ECONNRESET when the other end is gone.
 */
int issuer_fetch_send_config(int fd, const struct issuer_fetch_config *config);
int issuer_fetch_receive_config(int fd, struct issuer_fetch_config *config);
int issuer_fetch_send_order(int fd);
int issuer_fetch_receive_order(int fd);
int issuer_fetch_send(int fd, const struct issuer_fetched *fetched);
int issuer_fetch_receive(int fd, struct issuer_fetched *fetched);

/* Whether what was received makes sense. */
bool issuer_fetched_is_valid(const struct issuer_fetched *fetched);
