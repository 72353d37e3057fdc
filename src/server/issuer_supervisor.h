/* Starts the processes that fetch the issuers' keys, one for each, replaces those that die, and
 * keeps the keys where the gates read them. */
#pragma once

#include <stdint.h>

#include "ipc/issuer_fetch.h"
#include "ipc/issuer_sheet.h"

struct child;
struct event_base;
struct issuer_supervisor;

struct issuer_supervisor_config {
	const struct issuer
		*issuers; /* n of them, at least one; not needed any more after the start */
	unsigned int n;
	const char *authorities; /* a path, --oidc-ca; NULL: those of the system */
	struct issuer_fetch_config settings; /* what each is told; number and URL are filled in */
};

/* Starts them, and waits until each has told keys. Returns 0 or -errno, and logs why. */
int issuer_supervisor_new(struct event_base *base, const struct issuer_supervisor_config *config,
	struct issuer_supervisor **supervisor);

/* What the gates are to have; the supervisor's. */
const struct issuer_sheet *issuer_supervisor_sheet(const struct issuer_supervisor *supervisor);

/* A gate has a token of a key that is not known: fetches this issuer's, unless that was just tried.
 * A number that is none does nothing. */
void issuer_supervisor_fetch(struct issuer_supervisor *supervisor, unsigned int issuer);

/* The process of one issuer; NULL: there is none of this number. NULL is fine. */
const struct child *issuer_supervisor_process(
	const struct issuer_supervisor *supervisor, unsigned int number);

/* Ends them, waits for them and frees. NULL is fine. */
void issuer_supervisor_free(struct issuer_supervisor *supervisor);
