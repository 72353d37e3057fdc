/* Makes and checks what is told of issuers. Runs in the broker, the gates and the process that
 * fetches keys: each of them checks what another one sent. */
#include "ipc/issuer.h"

#include <errno.h>
#include <string.h>

const char *issuer_next_rule(const char *rule)
{
	return rule + strlen(rule) + 1;
}

bool issuer_is_label(const char *text)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._-";
	size_t n = strlen(text);

	return n > 0 && n < ISSUER_LABEL_SIZE && strspn(text, allowed) == n;
}

static bool is_rule(const char *rule)
{
	const char *colon = strchr(rule, ':');

	return colon && colon > rule && colon - rule < ISSUER_CLAIM_SIZE && colon[1] != '\0';
}

int issuer_add_rule(struct issuer *issuer, const char *rule)
{
	size_t n = strlen(rule) + 1;
	char *end = issuer->rules;

	if (!is_rule(rule))
		return -EINVAL;
	while (*end)
		end += strlen(end) + 1;
	/* and the empty one */
	if (n + 1 > sizeof issuer->rules - (size_t)(end - issuer->rules))
		return -ENOSPC;
	memcpy(end, rule, n);
	end[n] = '\0';
	return 0;
}

static bool ends(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

/* Two NULs at the very end: then every rule ends, and there is an empty one. */
static bool are_rules(const struct issuer *issuer)
{
	static const char end[2];

	if (memcmp(issuer->rules + sizeof issuer->rules - sizeof end, end, sizeof end) != 0)
		return false;
	for (const char *rule = issuer->rules; *rule; rule = issuer_next_rule(rule))
		if (!is_rule(rule))
			return false;
	return true;
}

bool issuer_is_valid(const struct issuer *issuer)
{
	return ends(issuer->url, sizeof issuer->url) && issuer->url[0] != '\0' &&
	       ends(issuer->audience, sizeof issuer->audience) &&
	       ends(issuer->name_claim, sizeof issuer->name_claim) &&
	       ends(issuer->label, sizeof issuer->label) &&
	       (issuer->label[0] == '\0' || issuer_is_label(issuer->label)) &&
	       issuer->name_claim[0] != '\0' && issuer->is_name_optional <= 1 && are_rules(issuer);
}

static bool is_zero(const void *data, size_t n)
{
	const unsigned char *bytes = data;

	for (size_t i = 0; i < n; i++)
		if (bytes[i] != 0)
			return false;
	return true;
}

static bool is_kid(const char kid[ISSUER_KID_SIZE])
{
	size_t n = strnlen(kid, ISSUER_KID_SIZE);

	if (n == 0 || n == ISSUER_KID_SIZE || !is_zero(kid + n, ISSUER_KID_SIZE - n))
		return false;
	for (size_t i = 0; i < n; i++)
		if (kid[i] <= ' ' || kid[i] > '~')
			return false;
	return true;
}

/* The first bit of a modulus is set, and the last: its length is its size, and it is odd. */
static bool is_rsa(const struct issuer_key *key)
{
	size_t n = key->modulus_length;

	return n >= ISSUER_MODULUS_MIN && n <= ISSUER_MODULUS_MAX && key->bytes[0] >= 0x80 &&
	       (key->bytes[n - 1] & 1) == 1 && key->exponent >= 3 && (key->exponent & 1) == 1 &&
	       is_zero(key->bytes + n, sizeof key->bytes - n);
}

static bool is_p256(const struct issuer_key *key)
{
	const size_t n = 2 * ISSUER_COORDINATE_SIZE;

	return key->modulus_length == 0 && key->exponent == 0 && !is_zero(key->bytes, n) &&
	       is_zero(key->bytes + n, sizeof key->bytes - n);
}

bool issuer_key_is_valid(const struct issuer_key *key)
{
	if (!is_kid(key->kid))
		return false;
	switch (key->kind) {
	case ISSUER_KEY_RSA:
		return is_rsa(key);
	case ISSUER_KEY_P256:
		return is_p256(key);
	default:
		return false;
	}
}
