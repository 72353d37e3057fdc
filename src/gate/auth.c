/* Reads a client's bearer, and finds out who shows it. Runs in the gate. */
#include "gate/auth.h"

#include <string.h>

static const char scheme[] = "Bearer ";

enum auth_verdict auth_check(
	const struct auth *auth, const char *authorization, struct client_name *name)
{
	const size_t n = sizeof scheme - 1;

	*name = (struct client_name){""};
	if (!authorization || strncmp(authorization, scheme, n) != 0)
		return AUTH_REFUSED;
	return bearer_has(&auth->bearer, authorization + n) ? AUTH_ACCEPTED : AUTH_REFUSED;
}

void auth_wipe(struct auth *auth)
{
	explicit_bzero(&auth->bearer, sizeof auth->bearer);
}
