/* The bearer: the one password that every client has. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum {
	AUTH_DIGEST_SIZE = 32,
};

/* The password itself is not kept. */
struct auth {
	unsigned char digest[AUTH_DIGEST_SIZE]; /* SHA-256 */
};

/* Returns 0, -EINVAL for an empty password, -EIO if the library fails. */
int auth_init(struct auth *auth, const char *password, size_t length);

/* Whether the value of an Authorization header (NULL: there was none) has the right bearer. How
 * long it takes does not tell how much of it is right. */
bool auth_check(const struct auth *auth, const char *authorization);
