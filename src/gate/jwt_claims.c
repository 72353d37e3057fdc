/* Checks claims. Runs in the gate, on a token whose signature is right: its issuer has made them,
 * its bearer may have chosen some. */
#include "gate/jwt_claims.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "ipc/issuer.h"

enum {
	VALUE_MAX = 1024, /* characters of a claim that a rule is about */
};

/* RFC 7519, 2: a time is a number, which may have a fraction. False if it is none, or out of
 * reason.
 */
static bool read_time(const json_t *value, double *time_s)
{
	if (!json_is_number(value))
		return false;
	*time_s = json_number_value(value);
	return *time_s >= 0 && *time_s < (double)INT64_MAX;
}

static bool is_over(const json_t *end, int64_t now_s)
{
	double time_s;

	return !read_time(end, &time_s) || time_s <= (double)now_s;
}

/* Those that need not be there. */
static bool is_ahead(const json_t *time, int64_t now_s)
{
	double time_s;

	return time && (!read_time(time, &time_s) || time_s > (double)now_s + JWT_CLOCK_SKEW_S);
}

static bool is_text(const json_t *value, const char *text)
{
	return json_is_string(value) && strcmp(json_string_value(value), text) == 0;
}

/* RFC 7519, 4.1.3: one, or a list of them. */
static bool is_for(const json_t *audience, const char *whom)
{
	size_t i;
	json_t *each;

	if (!json_is_array(audience))
		return is_text(audience, whom);
	json_array_foreach(audience, i, each) if (is_text(each, whom)) return true;
	return false;
}

/* A value that a rule can be about, as text. NULL if it is none. */
static const char *text_of(const json_t *value, char buffer[VALUE_MAX])
{
	const char *text = json_string_value(value);

	if (text)
		return strlen(text) < VALUE_MAX ? text : NULL;
	if (json_is_boolean(value))
		return json_is_true(value) ? "true" : "false";
	if (!json_is_integer(value))
		return NULL;
	snprintf(buffer, VALUE_MAX, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	return buffer;
}

static size_t claim_length(const char *rule)
{
	return (size_t)(strchr(rule, ':') - rule);
}

static bool are_of_one_claim(const char *rule, const char *other)
{
	size_t n = claim_length(rule);

	return n == claim_length(other) && memcmp(rule, other, n) == 0;
}

static const json_t *get_claim(const json_t *claims, const char *rule)
{
	char name[ISSUER_CLAIM_SIZE];

	snprintf(name, sizeof name, "%.*s", (int)claim_length(rule), rule);
	return json_object_get(claims, name);
}

/* Whether a rule about the same claim as this one matches it. */
static bool does_any_match(const struct issuer *issuer, const char *rule, const json_t *claims)
{
	char buffer[VALUE_MAX];
	const char *value = text_of(get_claim(claims, rule), buffer);

	if (!value)
		return false;
	for (const char *each = issuer->rules; *each; each = issuer_next_rule(each))
		if (are_of_one_claim(rule, each) &&
			fnmatch(each + claim_length(each) + 1, value, FNM_NOESCAPE) == 0)
			return true;
	return false;
}

static bool is_first_of_its_claim(const struct issuer *issuer, const char *rule)
{
	const char *each = issuer->rules;

	while (each != rule && !are_of_one_claim(rule, each))
		each = issuer_next_rule(each);
	return each == rule;
}

static bool do_rules_hold(const struct issuer *issuer, const json_t *claims)
{
	for (const char *rule = issuer->rules; *rule; rule = issuer_next_rule(rule))
		if (is_first_of_its_claim(issuer, rule) && !does_any_match(issuer, rule, claims))
			return false;
	return true;
}

const char *jwt_claims_fault(const json_t *claims, const struct issuer *issuer, int64_t now_s)
{
	if (!is_text(json_object_get(claims, "iss"), issuer->url))
		return "it is another issuer's";
	if (issuer->audience[0] && !is_for(json_object_get(claims, "aud"), issuer->audience))
		return "it is for another audience";
	if (is_over(json_object_get(claims, "exp"), now_s))
		return "it has expired";
	if (is_ahead(json_object_get(claims, "nbf"), now_s) ||
		is_ahead(json_object_get(claims, "iat"), now_s))
		return "it is of a time to come";
	return do_rules_hold(issuer, claims) ? NULL : "its claims are not those that are required";
}

int jwt_claims_name(const json_t *claims, const struct issuer *issuer, struct client_name *name)
{
	const char *text = json_string_value(json_object_get(claims, issuer->name_claim));
	char labelled[ISSUER_LABEL_SIZE + CLIENT_NAME_SIZE];

	if (!text || *text == '\0')
		return -EINVAL;
	if (issuer->label[0] == '\0')
		return client_name_make(CLIENT_NAME_OIDC, text, name) == 0 ? 0 : -EINVAL;
	/* One that is cut off is too long in any case. */
	snprintf(labelled, sizeof labelled, "%s:%s", issuer->label, text);
	return client_name_make(CLIENT_NAME_OIDC, labelled, name) == 0 ? 0 : -EINVAL;
}
