/* Gathers refused requests, for the audit. Runs in the gates and in the broker. */
#include "ipc/refusals.h"

static const char *const names[REFUSAL_REASON_END] = {
	[REFUSAL_PASSWORD] = "password",
	[REFUSAL_CONNECTIONS] = "connections",
	[REFUSAL_INSIDE] = "from a tunnel",
	[REFUSAL_PEERS] = "peers",
	[REFUSAL_POOL] = "pool",
	[REFUSAL_OTHER_CLIENT] = "other client",
	[REFUSAL_KEY] = "key",
	[REFUSAL_SOURCE] = "source",
	[REFUSAL_NOT_SERVED] = "not served",
	[REFUSAL_FAILED] = "failed",
	[REFUSAL_VARIOUS] = "various",
};

const char *refusal_reason_name(enum refusal_reason reason)
{
	return reason < REFUSAL_REASON_END && names[reason] ? names[reason] : "unknown";
}

static bool is_alike(const struct refused_request *a, const struct refused_request *b)
{
	return a->reason == b->reason && ipv4_equal(a->source, b->source) &&
	       ipv4_equal(a->bind, b->bind);
}

/* It stays at the largest number. */
static void add(uint32_t *count, uint32_t more)
{
	*count = more > UINT32_MAX - *count ? UINT32_MAX : *count + more;
}

size_t refusals_add(struct refused_requests *refusals, const struct refused_request *refusal)
{
	size_t i = 0;

	while (i < refusals->n && !is_alike(&refusals->entries[i], refusal))
		i++;
	if (i < refusals->n)
		add(&refusals->entries[i].count, refusal->count);
	else if (i < REFUSALS_MAX && refusal->reason != REFUSAL_VARIOUS)
		refusals->entries[refusals->n++] = *refusal;
	else
		add(&refusals->n_various, refusal->count);
	return refusal->reason == REFUSAL_VARIOUS ? REFUSALS_MAX : i;
}

bool refusals_take(struct refused_requests *refusals, struct refused_request *refusal)
{
	if (refusals->n > 0) {
		*refusal = refusals->entries[--refusals->n];
		return true;
	}
	*refusal =
		(struct refused_request){.reason = REFUSAL_VARIOUS, .count = refusals->n_various};
	refusals->n_various = 0;
	return refusal->count > 0;
}

bool refusals_are_empty(const struct refused_requests *refusals)
{
	return refusals->n == 0 && refusals->n_various == 0;
}
