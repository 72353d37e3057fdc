/* Reads a client's bearer, and finds out who shows it. Runs in the gate. */
#include "gate/auth.h"

#include <string.h>
#include <time.h>

#include "ipc/token_set.h"

static const char scheme[] = "Bearer ";

static enum auth_verdict check_token(
	const struct auth *auth, const char *shown, struct client_name *name)
{
	const struct token *token = auth->tokens ? token_set_find(auth->tokens, shown) : NULL;

	if (!token || !token_is_good(token, (uint64_t)time(NULL)))
		return AUTH_REFUSED;
	*name = token->name;
	return AUTH_ACCEPTED;
}

static enum auth_verdict check_issuers(
	struct issuers *issuers, const char *token, struct client_name *name)
{
	switch (issuers_check(issuers, token, time(NULL), name)) {
	case ISSUERS_ACCEPT:
		return AUTH_ACCEPTED;
	case ISSUERS_WAIT:
		return AUTH_AWAITS_KEY;
	default:
		return AUTH_REFUSED;
	}
}

enum auth_verdict auth_check(
	const struct auth *auth, const char *authorization, struct client_name *name)
{
	const size_t n = sizeof scheme - 1;

	*name = (struct client_name){""};
	if (!authorization || strncmp(authorization, scheme, n) != 0)
		return AUTH_REFUSED;
	if (bearer_has(&auth->bearer, authorization + n))
		return AUTH_ACCEPTED;
	if (check_token(auth, authorization + n, name) == AUTH_ACCEPTED)
		return AUTH_ACCEPTED;
	return auth->issuers ? check_issuers(auth->issuers, authorization + n, name) : AUTH_REFUSED;
}

void auth_wipe(struct auth *auth)
{
	explicit_bzero(&auth->bearer, sizeof auth->bearer);
	token_set_free(auth->tokens);
	auth->tokens = NULL;
}
