/* What it means that no echo comes back through a tunnel, and what to do about it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/tunnel.h"

/* What is known of a tunnel since it was set up as a new one. */
struct diagnosis {
	enum tunnel_kind kind;
	struct tunnel tunnel;
	uint64_t since_ns; /* when that was: ns since 1970 */
	uint64_t handshake_ns; /* the last handshake, likewise; 0: none */
	bool has_answered; /* an echo or a connection through it */
	bool was_asked; /* the server, what it sees */
	struct ipv4 seen; /* this client's address as the server sees it; 0.0.0.0: not known */
};

/*
 * Whether it can be taken for working though nothing answers in it: its ends have shaken hands, and
 * nothing ever has answered. After REJECT_AFTER_TIME (WireGuard paper, 6.1) they would have had to
 * do so again.
 */
bool diagnosis_is_alive(const struct diagnosis *diagnosis, uint64_t now_ns);

/* Whether what the server sees would tell more. */
bool diagnosis_wants_to_ask(const struct diagnosis *diagnosis);

/* Reads the answer to `GET /`, docs/api.md. 0.0.0.0: it is none. */
struct ipv4 diagnosis_parse_seen(const char *line);

/* For the log: what fails, and what may be the cause. */
void diagnosis_write(const struct diagnosis *diagnosis, char *text, size_t size);
