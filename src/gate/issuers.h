/* The issuers whose tokens are good, and whether one is. */
#pragma once

#include "base/clock.h"
#include "ipc/client_name.h"
#include "ipc/issuer.h" /* ISSUERS_MAX */

struct issuer_sheet;

enum issuers_verdict {
	ISSUERS_REFUSE,
	ISSUERS_ACCEPT,
	/* Its key is not known, and its issuer is being asked: another check, soon, may find it. */
	ISSUERS_WAIT,
};

struct issuers {
	const struct issuer_sheet *sheet; /* the owner's; NULL where there are none */
	const struct clock *clock;
	/* Has the keys of this one fetched; may be called often. */
	void (*ask)(void *context, unsigned int issuer);
	void *context;
	uint64_t asked_ms[ISSUERS_MAX];
};

/* Whether a bearer is a good token, by the time of day now_s. Of one that is, its name is set; it
 * may be none. */
enum issuers_verdict issuers_check(
	struct issuers *issuers, const char *bearer, int64_t now_s, struct client_name *name);
