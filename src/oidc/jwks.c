/* Parses an issuer's keys. Runs in the process that fetches them, on what a server sent. */
#include "oidc/jwks.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <jansson.h>

#include "base/base64url.h"

enum {
	/* Some issuers write a zero before the number. */
	NUMBER_MAX = ISSUER_MODULUS_MAX + 1,
};

/* RFC 7518, 2: Base64urlUInt. Returns how many bytes there are without leading zeros, and moves
 * them to the beginning; 0 if it is none. */
static size_t read_number(const json_t *key, const char *name, uint8_t number[NUMBER_MAX])
{
	const json_t *text = json_object_get(key, name);
	ssize_t n = json_is_string(text) ? base64url_decode(json_string_value(text),
						   json_string_length(text), number, NUMBER_MAX)
					 : -EBADMSG;
	size_t zeros = 0, length = n > 0 ? (size_t)n : 0;

	while (zeros < length && number[zeros] == 0)
		zeros++;
	memmove(number, number + zeros, length - zeros);
	return length - zeros;
}

static bool read_rsa(const json_t *key, struct issuer_key *made)
{
	uint8_t number[NUMBER_MAX];
	size_t n = read_number(key, "e", number);

	if (n == 0 || n > ISSUER_EXPONENT_MAX)
		return false;
	for (size_t i = 0; i < n; i++)
		made->exponent = made->exponent << 8 | number[i];
	n = read_number(key, "n", number);
	if (n == 0 || n > ISSUER_MODULUS_MAX)
		return false;
	made->kind = ISSUER_KEY_RSA;
	made->modulus_length = (uint32_t)n;
	memcpy(made->bytes, number, n);
	return true;
}

/* RFC 7518, 6.2.1.2: of full length always. */
static bool read_coordinate(const json_t *key, const char *name, uint8_t *coordinate)
{
	const json_t *text = json_object_get(key, name);

	return json_is_string(text) &&
	       base64url_decode(json_string_value(text), json_string_length(text), coordinate,
		       ISSUER_COORDINATE_SIZE) == ISSUER_COORDINATE_SIZE;
}

static bool has(const json_t *key, const char *name, const char *value)
{
	const char *text = json_string_value(json_object_get(key, name));

	return text && strcmp(text, value) == 0;
}

static bool read_p256(const json_t *key, struct issuer_key *made)
{
	made->kind = ISSUER_KEY_P256;
	return has(key, "crv", "P-256") && read_coordinate(key, "x", made->bytes) &&
	       read_coordinate(key, "y", made->bytes + ISSUER_COORDINATE_SIZE);
}

/* RFC 7517, 4.2 and 4.4: what a key is not for it must not be used for. */
static bool is_for(const json_t *key, const char *algorithm)
{
	return (!json_object_get(key, "use") || has(key, "use", "sig")) &&
	       (!json_object_get(key, "alg") || has(key, "alg", algorithm));
}

static bool read_key(const json_t *key, struct issuer_key *made)
{
	const json_t *kid = json_object_get(key, "kid");

	*made = (struct issuer_key){0};
	if (!json_is_string(kid) || json_string_length(kid) >= sizeof made->kid)
		return false;
	memcpy(made->kid, json_string_value(kid), json_string_length(kid));
	if (has(key, "kty", "RSA"))
		return is_for(key, "RS256") && read_rsa(key, made) && issuer_key_is_valid(made);
	return has(key, "kty", "EC") && is_for(key, "ES256") && read_p256(key, made) &&
	       issuer_key_is_valid(made);
}

static int read_keys(const json_t *list, struct issuer_key *keys)
{
	struct issuer_key made;
	size_t i, n = 0;
	json_t *key;

	json_array_foreach(list, i, key)
	{
		if (!read_key(key, &made))
			continue;
		if (n == ISSUER_KEYS_MAX)
			return -E2BIG;
		keys[n++] = made;
	}
	return n > 0 ? (int)n : -ENOENT;
}

int jwks_parse(const char *text, size_t length, struct issuer_key keys[ISSUER_KEYS_MAX])
{
	json_t *set = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
	const json_t *list = json_object_get(set, "keys");
	int n = json_is_array(list) ? read_keys(list, keys) : -EBADMSG;

	json_decref(set);
	return n;
}
