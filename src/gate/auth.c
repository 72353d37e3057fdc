/* Reads a client's bearer and compares it with the passwords. Runs in the gate. */
#include "gate/auth.h"

#include <string.h>

static const char scheme[] = "Bearer ";

bool auth_check(const struct bearer *bearer, const char *authorization)
{
	size_t n = strlen(scheme);

	return authorization && strncmp(authorization, scheme, n) == 0 &&
	       bearer_has(bearer, authorization + n);
}
