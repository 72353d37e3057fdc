/* Takes a token apart. Runs in the gate, on what a client sent; anybody may have made it. */
#include "gate/jwt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64url.h"
#include "base/cleanup.h"

/* jansson goes down one call a bracket, and the stack is not without end. */
static bool is_deep(const char *text, size_t length)
{
	size_t depth = 0;

	for (size_t i = 0; i < length; i++) {
		if (text[i] == '{' || text[i] == '[')
			depth++;
		if (depth > JWT_DEPTH_MAX)
			return true;
		if ((text[i] == '}' || text[i] == ']') && depth > 0)
			depth--;
	}
	return false;
}

/* RFC 7519, 4: of claims of one name a reader may take the last, and another one the first. So such
 * a token is none. */
static json_t *read_object(const char *part, size_t length)
{
	auto_free char *text = malloc(length + 1);
	ssize_t n = text ? base64url_decode(part, length, text, length) : -ENOMEM;
	json_t *object = n > 0 && !is_deep(text, (size_t)n)
				 ? json_loadb(text, (size_t)n, JSON_REJECT_DUPLICATES, NULL)
				 : NULL;

	if (json_is_object(object))
		return object;
	json_decref(object);
	return NULL;
}

/* The key says what it is good for, and the token must agree: one with "none", or whose "secret" is
 * the public key (HS256), says otherwise. RFC 8725, 3.1. */
static int read_header(struct jwt *jwt)
{
	const char *algorithm = json_string_value(json_object_get(jwt->header, "alg"));

	jwt->kid = json_string_value(json_object_get(jwt->header, "kid"));
	/* RFC 7515, 4.1.11: who does not know what it names must refuse it. We know nothing. */
	if (!algorithm || !jwt->kid || json_object_get(jwt->header, "crit"))
		return -EBADMSG;
	if (strcmp(algorithm, "RS256") == 0)
		jwt->kind = ISSUER_KEY_RSA;
	else if (strcmp(algorithm, "ES256") == 0)
		jwt->kind = ISSUER_KEY_P256;
	else
		return -EBADMSG;
	return 0;
}

static int read_signature(struct jwt *jwt, const char *part)
{
	ssize_t n = base64url_decode(part, strlen(part), jwt->signature, sizeof jwt->signature);

	if (n <= 0)
		return -EBADMSG;
	jwt->signature_length = (size_t)n;
	return 0;
}

/* Three parts; a fourth dot is no character of the last. */
int jwt_parse(const char *text, struct jwt *jwt)
{
	size_t length = strnlen(text, JWT_MAX + 1);
	const char *first = memchr(text, '.', length);
	const char *second =
		first ? memchr(first + 1, '.', length - (size_t)(first + 1 - text)) : NULL;

	*jwt = (struct jwt){.text = text};
	if (!second || length > JWT_MAX)
		return -EBADMSG;
	jwt->signed_length = (size_t)(second - text);
	jwt->header = read_object(text, (size_t)(first - text));
	if (!jwt->header || read_header(jwt) < 0 || read_signature(jwt, second + 1) < 0)
		return -EBADMSG;
	jwt->claims = read_object(first + 1, (size_t)(second - first - 1));
	jwt->iss = json_string_value(json_object_get(jwt->claims, "iss"));
	return jwt->iss ? 0 : -EBADMSG;
}

void jwt_free(struct jwt *jwt)
{
	json_decref(jwt->header);
	json_decref(jwt->claims);
	explicit_bzero(jwt->signature, sizeof jwt->signature);
	jwt->header = jwt->claims = NULL;
}
