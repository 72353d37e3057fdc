/* Which addresses were claimed, and which claims the store has answered. Runs in the broker. */
#include "server/claims.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/log.h"
#include "server/store_link.h"

enum {
	WAIT_MS = 3000, /* for its first word; the store itself waits for less */
	TELL_MS = 35000, /* until it has told all; likewise */
};

enum claim_state {
	CLAIM_ASKED,
	CLAIM_HELD, /* ours; or the store does not answer */
	CLAIM_OTHERS, /* another host's */
};

struct claim {
	struct ipv4 bind;
	enum claim_state state;
	uint64_t due_ms; /* CLAIM_ASKED: when it is served without an answer */
	bool is_asking; /* an answer is to come */
	bool is_ready; /* what was told of it before counts */
};

struct claims {
	struct store_link *link;
	const struct clock *clock;
	struct claim *list;
	size_t n;
};

int claims_new(struct store_link *link, const struct clock *clock, struct claims **result)
{
	struct claims *claims = calloc(1, sizeof *claims);

	if (!claims)
		return -ENOMEM;
	claims->link = link;
	claims->clock = clock;
	*result = claims;
	return 0;
}

void claims_free(struct claims *claims)
{
	if (!claims)
		return;
	free(claims->list);
	free(claims);
}

static struct claim *find(const struct claims *claims, struct ipv4 bind)
{
	for (size_t i = 0; i < claims->n; i++)
		if (ipv4_equal(claims->list[i].bind, bind))
			return &claims->list[i];
	return NULL;
}

static struct claim *add(struct claims *claims, struct ipv4 bind, enum claim_state state)
{
	struct claim *grown = array_grow(claims->list, claims->n, sizeof *grown);

	if (!grown)
		return NULL;
	claims->list = grown;
	grown[claims->n] = (struct claim){
		.bind = bind, .state = state, .due_ms = clock_now_ms(claims->clock) + WAIT_MS};
	return &grown[claims->n++];
}

static void take_out(struct claims *claims, struct claim *claim)
{
	*claim = claims->list[--claims->n];
}

int claims_add(struct claims *claims, struct ipv4 bind)
{
	return find(claims, bind) || add(claims, bind, CLAIM_HELD) ? 0 : -ENOMEM;
}

static int claim_from(struct store_link *link, const struct claim *claim)
{
	return claim->is_ready ? store_link_claim_rest(link, claim->bind)
			       : store_link_claim(link, claim->bind);
}

static int ask(struct claims *claims, struct ipv4 bind, bool is_ready)
{
	struct claim *claim = add(claims, bind, CLAIM_ASKED);

	if (!claim)
		return -ENOMEM;
	claim->is_ready = is_ready;
	claim->is_asking = claim_from(claims->link, claim) == 0;
	if (claim->is_asking)
		return -EINPROGRESS;
	/* Without a store it is as with --store=none. */
	claim->state = CLAIM_HELD;
	return 0;
}

static int wait_for_answer(const struct claims *claims, struct claim *claim)
{
	if (clock_now_ms(claims->clock) < claim->due_ms)
		return -EINPROGRESS;
	log_warning("endpoint %s: the store does not say what was promised; it is served all the "
		    "same, and who was promised an address may get another one",
		ipv4_text(claim->bind).s);
	claim->state = CLAIM_HELD;
	return 0;
}

/* One question at a time: a store that is busy would be given more and more of them. */
static int ask_if_left(const struct claims *claims, struct claim *claim)
{
	if (!claim->is_asking)
		claim->is_asking = store_link_claim_if_left(claims->link, claim->bind) == 0;
	return -EBUSY;
}

int claims_ask(struct claims *claims, struct ipv4 bind, bool is_ready)
{
	struct claim *claim = find(claims, bind);

	if (!claim)
		return ask(claims, bind, is_ready);
	switch (claim->state) {
	case CLAIM_ASKED:
		return wait_for_answer(claims, claim);
	case CLAIM_OTHERS:
		return ask_if_left(claims, claim);
	case CLAIM_HELD:
		break;
	}
	return 0;
}

bool claims_has(const struct claims *claims, struct ipv4 bind)
{
	return find(claims, bind) != NULL;
}

bool claims_heard(struct claims *claims, struct ipv4 bind)
{
	struct claim *claim = find(claims, bind);

	if (!claim || !claim->is_asking)
		return false;
	claim->due_ms = clock_now_ms(claims->clock) + TELL_MS;
	return true;
}

bool claims_answered(struct claims *claims, struct ipv4 bind)
{
	struct claim *claim = find(claims, bind);

	if (!claim)
		return false;
	claim->state = CLAIM_HELD;
	claim->is_asking = false;
	store_link_hold(claims->link, bind);
	return true;
}

void claims_lost(struct claims *claims)
{
	for (size_t i = 0; i < claims->n; i++) {
		struct claim *claim = &claims->list[i];

		if (claim->is_asking && claim->state != CLAIM_OTHERS)
			claim_from(claims->link, claim);
		else
			claim->is_asking = false;
	}
}

bool claims_superseded(struct claims *claims, struct ipv4 bind)
{
	struct claim *claim = find(claims, bind);
	bool was_ours = claim && claim->state == CLAIM_HELD && !claim->is_asking;

	if (was_ours)
		claim->state = CLAIM_OTHERS;
	/* While it is being claimed it is about the time before. */
	if (claim && claim->state == CLAIM_OTHERS)
		claim->is_asking = false;
	return was_ours;
}

void claims_release(struct claims *claims, struct ipv4 bind)
{
	struct claim *claim = find(claims, bind);

	if (!claim)
		return;
	take_out(claims, claim);
	store_link_release(claims->link, bind);
}
