/*
 * Where a client gets the token that it shows, for --oidc-github: GitHub's documentation, "OpenID
 * Connect reference", "Methods for requesting the OIDC token". And the token that it has.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/request_message.h"
#include "http/web_place.h"

struct token_source {
	struct web_place place;
	char authorities[PATH_MAX]; /* who certify that server */
	char bearer[REQUEST_BEARER_MAX]; /* what is shown to it */

	char token[REQUEST_PASSWORD_MAX]; /* "": none yet */
	uint64_t since_ms; /* of boot_clock */
	int64_t expires_s; /* since 1970; 0: not known */
};

/*
 * Zeroed before; authorities are the caller's to fill in. Of an https:// URL, to whose query the
 * audience is added, percent-encoded. Returns 0; -EINVAL: the URL is none, or too long; -EBADMSG:
 * the bearer could not be sent. To be wiped in each case.
 */
int token_source_set(
	struct token_source *source, const char *url, const char *audience, const char *bearer);

/* Whether there is no token that is good for the next request. now_ms: of boot_clock; now_s: since
 * 1970. */
bool token_source_is_due(const struct token_source *source, uint64_t now_ms, int64_t now_s);

void token_source_keep(
	struct token_source *source, const struct request_token *token, uint64_t now_ms);

/* The token, in the place of client_config's password. context: the struct token_source. */
const char *token_source_show(void *context);

void token_source_wipe(struct token_source *source);
