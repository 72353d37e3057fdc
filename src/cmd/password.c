/* The password of the server and the client, out of the environment: read and checked once, at
 * start, by the process that the user has started. */
#include "cmd/password.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* What a header's value may hold, and keep on its way: RFC 9110, 5.5. */
static bool can_be_sent(const char *password)
{
	const char *last = password + strlen(password) - 1;

	for (const char *p = password; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return false;
	return *password != ' ' && *last != ' ';
}

const char *password_from_environment(char **password)
{
	char *value = getenv("VPROX_PASSWORD");

	if (!value || !*value)
		return "is not set: put the password that clients and server share into the "
		       "environment";
	if (!can_be_sent(value))
		return "has a control character (such as a line break) in it, or a blank at its "
		       "beginning or end: no client could send it";
	if (strlen(value) > PASSWORD_MAX)
		return "is longer than 4096 bytes";
	*password = strdup(value);
	if (!*password)
		return "cannot be kept: out of memory";
	explicit_bzero(value, strlen(value));
	unsetenv("VPROX_PASSWORD");
	return NULL;
}

void password_free(char *password)
{
	if (password)
		explicit_bzero(password, strlen(password));
	free(password);
}
