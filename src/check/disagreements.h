/* What does not agree, and what can be done about it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/ipv4.h"
#include "base/key.h"

enum {
	DISAGREEMENT_SUBJECT_SIZE = KEY_TEXT_SIZE + sizeof "WireGuard peer ",
	DISAGREEMENT_FAULT_SIZE = 288, /* what a plane says fits */
};

struct disagreement {
	struct ipv4 bind; /* the endpoint; 0.0.0.0: the whole server */
	struct ipv4 inner; /* the address that it is about; 0.0.0.0: none */
	char subject[DISAGREEMENT_SUBJECT_SIZE]; /* "WireGuard peer KEY", "vprox0", "the firewall"
						  */
	char fault[DISAGREEMENT_FAULT_SIZE];
	const char *remedy; /* what to do, as a sentence without its full stop */
};

/* Zeroed: none. */
struct disagreements {
	struct disagreement *list;
	size_t n;
};

/* Returns 0 or -ENOMEM. */
int disagreements_add(struct disagreements *disagreements, const struct disagreement *disagreement);
/* Leaves of the disagreements those that are among `again` too: a change in flight is none of them.
 */
void disagreements_keep_common(
	struct disagreements *disagreements, const struct disagreements *again);
void disagreements_free(struct disagreements *disagreements);
