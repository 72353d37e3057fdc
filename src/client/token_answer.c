/* Parses the answer that has a token. Runs in the process that asks for it, as a user without
 * rights. */
#include "client/token_answer.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include <jansson.h>

#include "base/base64url.h"
#include "client/request_message.h"

/* 0: it does not say. */
static int64_t find_end(const char *token)
{
	char claims[REQUEST_PASSWORD_MAX];
	const char *begin = strchr(token, '.');
	ssize_t n =
		begin ? base64url_decode(begin + 1, strcspn(begin + 1, "."), claims, sizeof claims)
		      : -EBADMSG;
	json_t *all = n > 0 ? json_loadb(claims, (size_t)n, 0, NULL) : NULL;
	json_int_t end = json_integer_value(json_object_get(all, "exp"));

	json_decref(all);
	return end > 0 ? end : 0;
}

static int keep(const char *value, struct request_token *token)
{
	if (strlen(value) >= sizeof token->token)
		return -E2BIG;
	if (!request_is_token(value))
		return -EINVAL;
	strcpy(token->token, value);
	token->expires_s = find_end(value);
	return 0;
}

int token_answer_parse(const char *text, size_t length, struct request_token *token)
{
	json_t *all = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
	const char *value = json_string_value(json_object_get(all, "value"));
	int error;

	*token = (struct request_token){0};
	error = value ? keep(value, token) : -EBADMSG;
	json_decref(all);
	return error;
}
