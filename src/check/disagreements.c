/* A list of disagreements. Runs in `vprox check`. */
#include "check/disagreements.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int disagreements_add(struct disagreements *disagreements, const struct disagreement *disagreement)
{
	struct disagreement *grown = reallocarray(
		disagreements->list, disagreements->n + 1, sizeof *disagreements->list);

	if (!grown)
		return -ENOMEM;
	disagreements->list = grown;
	grown[disagreements->n++] = *disagreement;
	return 0;
}

static bool is_same(const struct disagreement *a, const struct disagreement *b)
{
	return ipv4_equal(a->bind, b->bind) && ipv4_equal(a->inner, b->inner) &&
	       a->remedy == b->remedy && strcmp(a->subject, b->subject) == 0 &&
	       strcmp(a->fault, b->fault) == 0;
}

static bool contains(
	const struct disagreements *disagreements, const struct disagreement *disagreement)
{
	for (size_t i = 0; i < disagreements->n; i++)
		if (is_same(&disagreements->list[i], disagreement))
			return true;
	return false;
}

void disagreements_keep_common(
	struct disagreements *disagreements, const struct disagreements *again)
{
	size_t kept = 0;

	for (size_t i = 0; i < disagreements->n; i++)
		if (contains(again, &disagreements->list[i]))
			disagreements->list[kept++] = disagreements->list[i];
	disagreements->n = kept;
}

void disagreements_free(struct disagreements *disagreements)
{
	free(disagreements->list);
	*disagreements = (struct disagreements){0};
}
