/* Who a client is, by the Authorization header of its request. */
#pragma once

#include "gate/issuers.h"
#include "ipc/bearer.h"
#include "ipc/client_name.h"

struct token_set;

/* What there is to verify with. */
struct auth {
	struct bearer bearer; /* the passwords: who shows one has no name */
	struct token_set *tokens; /* NULL: none */
	struct issuers *issuers; /* whose tokens are good; NULL: there are none */
};

enum auth_verdict {
	AUTH_REFUSED,
	AUTH_ACCEPTED,
	AUTH_AWAITS_KEY, /* of the token's issuer: to be checked again, soon */
};

/* Verifies the value of an Authorization header (NULL: there was none). Of a client that is
 * accepted it sets the name; else that is none. */
enum auth_verdict auth_check(
	const struct auth *auth, const char *authorization, struct client_name *name);

/* Wipes what is secret, and frees the tokens. */
void auth_wipe(struct auth *auth);
