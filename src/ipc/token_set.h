/*
 * The tokens of --tokens: whose they are, and how long they are good. Of a token only its SHA-256
 * is kept anywhere. The broker has the set, and so do the gates, which are passed it as a sealed
 * file in memory: a header, and the tokens end to end.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ipv4.h"
#include "ipc/bearer.h"
#include "ipc/client_name.h"

enum {
	TOKEN_SET_VERSION = 2,
	TOKEN_SET_MAX = 100 * 1000,
	TOKEN_ALLOW_TO_MAX = 16,
	TOKEN_DIGESTS = 2, /* the present one, and for a time the one before */
};

struct token {
	struct client_name name; /* of kind CLIENT_NAME_TOKEN */
	/* Always both, of the same token where there is one only. */
	uint8_t digests[TOKEN_DIGESTS][BEARER_DIGEST_SIZE];
	uint64_t expires_s; /* good until then, s since 1970; 0: for good */
	uint32_t max_peers; /* of all endpoints; 0: as --max-peers-per-source */
	uint32_t line; /* of the file, from 1 */
	/* What its clients reach, and nothing else; none: what all do. */
	uint32_t n_allow_to;
	struct prefix allow_to[TOKEN_ALLOW_TO_MAX];
};

struct token_set;

/*
 * Makes a set of n tokens, which become its own. Returns 0; -EEXIST if two have one name or one
 * digest, and then *again is the second's place among them; -EINVAL if one is none; or -ENOMEM. If
 * it fails they are wiped and freed too.
 */
int token_set_new(struct token *tokens, size_t n, struct token_set **set, size_t *again);
/* Wipes and frees. NULL is fine. */
void token_set_free(struct token_set *set);

/* NULL: no tokens. */
size_t token_set_count(const struct token_set *set);
/* Whether they let in the same clients in the same way. Either may be NULL: no tokens. */
bool token_set_equal(const struct token_set *a, const struct token_set *b);

/* Whose token it is that a client shows, whatever its time; NULL: nobody's. How long it takes tells
 * nothing of any digest. */
const struct token *token_set_find(const struct token_set *set, const char *shown);
/* The token of this name; NULL: there is none. A set that is NULL has none. */
const struct token *token_set_named(const struct token_set *set, const struct client_name *name);
bool token_is_good(const struct token *token, uint64_t now_s);

/* When the next one expires of those that are good, s since 1970; UINT64_MAX: none does. */
uint64_t token_set_next_end(const struct token_set *set, uint64_t now_s);

/* Makes the sealed memfd. set may be NULL: no tokens. Returns it (close-on-exec) or -errno. */
int token_set_write(const struct token_set *set);
/* Reads and checks it. Returns 0 or -errno; -EPROTO if it is malformed. */
int token_set_read(int fd, struct token_set **set);
