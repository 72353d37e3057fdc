/* The Authorization header. */
#pragma once

#include <stdbool.h>

#include "ipc/bearer.h"

/* Whether the value of an Authorization header (NULL: there was none) has a right bearer, as
 * bearer_has(). */
bool auth_check(const struct bearer *bearer, const char *authorization);
