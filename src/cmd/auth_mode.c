/* Reads VPROX_AUTH_MODE, of the environment or of a file. Runs in the process that the user has
 * started. */
#include "cmd/auth_mode.h"

#include <stddef.h>
#include <strings.h>

bool auth_mode_is_oidc_modal(const char *mode)
{
	return mode && strcasecmp(mode, "oidc-modal") == 0;
}
