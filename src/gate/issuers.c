/* Verifies tokens with the keys that the broker has. Runs in the gate, on what a client sent. */
#include "gate/issuers.h"

#include <string.h>

#include "base/log.h"
#include "gate/jwt.h"
#include "gate/jwt_claims.h"
#include "gate/jwt_signature.h"
#include "ipc/issuer_sheet.h"

enum {
	REPEAT_MS = 1000, /* until an issuer is asked for again, whatever became of the first */
};

static void ask(struct issuers *issuers, unsigned int number, uint64_t now_ms)
{
	uint64_t *asked_ms = &issuers->asked_ms[number];

	if (*asked_ms != 0 && now_ms - *asked_ms < REPEAT_MS)
		return;
	*asked_ms = now_ms;
	issuers->ask(issuers->context, number);
}

/* A token of a key that was made just now is as good as others; but who makes up names of keys must
 * not have the issuer asked for each. */
static enum issuers_verdict miss(struct issuers *issuers, unsigned int number, uint64_t now_ms)
{
	uint64_t tried_ms = issuer_sheet_tried_ms(issuers->sheet, number);

	if (tried_ms != 0 && now_ms - tried_ms < ISSUER_ASK_MS) {
		log_debug("token of %s refused: its key is not known",
			issuer_sheet_get(issuers->sheet, number)->url);
		return ISSUERS_REFUSE;
	}
	ask(issuers, number, now_ms);
	return ISSUERS_WAIT;
}

static const char *fault_of(const struct jwt *jwt, const struct issuer_key *key,
	const struct issuer *issuer, int64_t now_s, struct client_name *name)
{
	const char *fault;

	if (!jwt_signature_is_right(jwt, key))
		return "its signature is wrong";
	fault = jwt_claims_fault(jwt->claims, issuer, now_s);
	if (fault)
		return fault;
	if (jwt_claims_name(jwt->claims, issuer, name) < 0 && !issuer->is_name_optional)
		return "it has no name that could be used";
	return NULL;
}

static enum issuers_verdict check_one(struct issuers *issuers, unsigned int number,
	const struct jwt *jwt, int64_t now_s, struct client_name *name)
{
	const struct issuer *issuer = issuer_sheet_get(issuers->sheet, number);
	uint64_t now_ms = clock_now_ms(issuers->clock);
	struct issuer_key key;
	const char *fault;

	if (issuer_sheet_find(issuers->sheet, number, jwt->kid, jwt->kind, now_ms, &key) < 0)
		return miss(issuers, number, now_ms);
	fault = fault_of(jwt, &key, issuer, now_s, name);
	if (!fault)
		return ISSUERS_ACCEPT;
	log_debug("token of %s refused: %s", issuer->url, fault);
	*name = (struct client_name){""};
	return ISSUERS_REFUSE;
}

/* One issuer may be there several times, with other rules. */
static enum issuers_verdict check_all(
	struct issuers *issuers, const struct jwt *jwt, int64_t now_s, struct client_name *name)
{
	enum issuers_verdict result = ISSUERS_REFUSE;

	for (unsigned int i = 0; i < issuer_sheet_count(issuers->sheet) && result != ISSUERS_ACCEPT;
		i++) {
		enum issuers_verdict verdict = ISSUERS_REFUSE;

		if (strcmp(issuer_sheet_get(issuers->sheet, i)->url, jwt->iss) == 0)
			verdict = check_one(issuers, i, jwt, now_s, name);
		if (verdict != ISSUERS_REFUSE)
			result = verdict;
	}
	return result;
}

enum issuers_verdict issuers_check(
	struct issuers *issuers, const char *bearer, int64_t now_s, struct client_name *name)
{
	enum issuers_verdict verdict = ISSUERS_REFUSE;
	struct jwt jwt;

	*name = (struct client_name){""};
	if (!issuers->sheet)
		return verdict;
	if (jwt_parse(bearer, &jwt) == 0)
		verdict = check_all(issuers, &jwt, now_s, name);
	jwt_free(&jwt);
	return verdict;
}
