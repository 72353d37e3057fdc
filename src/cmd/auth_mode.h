/* VPROX_AUTH_MODE: how clients show who they are. */
#pragma once

#include <stdbool.h>

/* Whether this value of it, which may be NULL, means OIDC as the older programs have it; upper and
 * lower case are alike, as there. Anything else means a password. */
bool auth_mode_is_oidc_modal(const char *mode);
