/* Checks the messages of the request process. Runs in the client. */
#include "client/request_message.h"

#include <errno.h>
#include <string.h>

/* Ends it, and makes it safe to be shown on a terminal: what is no ASCII may be a terminal's
 * controls too. */
static void tame(char *text, size_t size)
{
	text[size - 1] = '\0';
	for (char *p = text; *p; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
}

int request_decode_names(const void *packet, size_t length, struct request_names *names)
{
	if (length != sizeof *names)
		return -EPROTO;
	memcpy(names, packet, sizeof *names);
	if (names->n < 1 || names->n > REQUEST_ADDRESSES_MAX)
		return -EPROTO;
	for (uint32_t i = 0; i < names->n; i++)
		if (names->addresses[i].value == 0)
			return -EPROTO;
	return 0;
}

bool request_is_token(const char *text)
{
	const char *p = text;

	while (*p > ' ' && *p <= '~')
		p++;
	return p > text && *p == '\0';
}

int request_decode_token(const void *packet, size_t length, struct request_token *token)
{
	if (length != sizeof *token)
		return -EPROTO;
	memcpy(token, packet, sizeof *token);
	token->token[sizeof token->token - 1] = '\0';
	return token->expires_s >= 0 && request_is_token(token->token) ? 0 : -EPROTO;
}

int request_decode_server(const void *packet, size_t length, struct request_server *seen)
{
	if (length != sizeof *seen)
		return -EPROTO;
	memcpy(seen, packet, sizeof *seen);
	tame(seen->fault, sizeof seen->fault);
	return seen->certified <= 1 ? 0 : -EPROTO;
}

int request_decode_result(const void *packet, size_t length, struct request_result *result)
{
	if (length != sizeof *result)
		return -EPROTO;
	memcpy(result, packet, sizeof *result);
	tame(result->text, sizeof result->text);
	resolvers_check(&result->resolvers);
	/* REQUEST_REFUSED is the client's own */
	if (result->outcome < REQUEST_GRANTED || result->outcome > REQUEST_FAILED ||
		result->has_retry_after > 1)
		return -EPROTO;
	return 0;
}
