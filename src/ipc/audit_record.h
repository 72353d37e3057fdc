/* What an audit says: who was given a tunnel, who was refused one, and whose ended; as JSON. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/ipv4.h"
#include "base/key.h"

enum audit_event {
	AUDIT_GRANT, /* a new tunnel */
	AUDIT_RENEWAL, /* of one that is there, from another address or by another name */
	AUDIT_ADOPTION, /* of one that was there, or was promised, when the server started */
	AUDIT_REFUSAL,
	AUDIT_REMOVAL,
	AUDIT_N_EVENTS,
};

/* All zero but the event: not known, and left out. */
struct audit_record {
	enum audit_event event;
	const char *name; /* the client's; NULL or "": it has none */
	struct ipv4 source; /* where it has asked from */
	uint16_t source_port;
	const char *kind; /* "wireguard", "ipip" */
	struct key key;
	struct ipv4 inner;
	struct ipv4 serving; /* the bind address */
	const char *reason;
	bool has_usage; /* the next two */
	uint64_t received, sent; /* bytes from and to the client, as last read */
	uint64_t made_s; /* when its tunnel was made, s since 1970 */
	uint64_t seconds; /* since then */
	uint32_t count; /* of refusals that are alike */
};

/* "grant", "renewal", "adoption", "refusal", "removal". */
const char *audit_event_name(enum audit_event event);

/* {"event":"grant",...}, in one line, with_time as its first member. The caller's, to be freed with
 * free(); NULL: no memory. */
char *audit_record_text(const struct audit_record *record, bool with_time);
