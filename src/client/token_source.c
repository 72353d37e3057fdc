/* Knows where a token comes from, and when another one is due. Runs in the client. */
#include "client/token_source.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
	MOST_AGE_MS = 4 * 60 * 1000, /* GitHub's are good for five minutes */
	LEAST_LEFT_S = 60,
};

/* Returns false if there is no room. */
static bool add(char *text, size_t size, const char *more)
{
	const size_t used = strlen(text);

	return (size_t)snprintf(text + used, size - used, "%s", more) < size - used;
}

/* All but what is unreserved: RFC 3986, 2.3. */
static bool add_encoded(char *text, size_t size, const char *more)
{
	static const char unreserved[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					 "0123456789-._~";
	bool ok = true;

	for (; *more && ok; more++) {
		char one[sizeof "%FF"] = {*more};

		if (!strchr(unreserved, *more))
			snprintf(one, sizeof one, "%%%02X", (unsigned char)*more);
		ok = add(text, size, one);
	}
	return ok;
}

int token_source_set(
	struct token_source *source, const char *url, const char *audience, const char *bearer)
{
	char *target = source->place.target;
	const size_t size = sizeof source->place.target;

	if (web_place_parse(url, &source->place) < 0 ||
		!add(target, size, strchr(target, '?') ? "&audience=" : "?audience=") ||
		!add_encoded(target, size, audience))
		return -EINVAL;
	if (!request_is_token(bearer) || !add(source->bearer, sizeof source->bearer, bearer))
		return -EBADMSG;
	return 0;
}

bool token_source_is_due(const struct token_source *source, uint64_t now_ms, int64_t now_s)
{
	if (source->token[0] == '\0' || now_ms - source->since_ms > MOST_AGE_MS)
		return true;
	return source->expires_s != 0 && source->expires_s - LEAST_LEFT_S < now_s;
}

void token_source_keep(
	struct token_source *source, const struct request_token *token, uint64_t now_ms)
{
	explicit_bzero(source->token, sizeof source->token);
	strcpy(source->token, token->token);
	source->since_ms = now_ms;
	source->expires_s = token->expires_s;
}

const char *token_source_show(void *context)
{
	const struct token_source *source = context;

	return source->token;
}

void token_source_wipe(struct token_source *source)
{
	explicit_bzero(source, sizeof *source);
}
