/* Of which revisions of etcd the history is still to be kept, by the time at which they were seen.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	HISTORY_PARTS = 12, /* of the time that is kept: a sample of each is known */
};

struct history_sample {
	uint64_t ms;
	uint64_t revision; /* of etcd, at that time; 0: none was taken */
};

/* Zeroed, with keep_ms set. 0: nothing is compacted. */
struct history {
	uint64_t keep_ms;
	struct history_sample samples[HISTORY_PARTS + 1]; /* in turn */
	size_t next;
	uint64_t compacted; /* up to this revision there is nothing left, as far as is known */
	int told; /* why it cannot be compacted, if that was said */
};

/* The revisions begin anew: those seen so far are of no use. */
void history_begin_anew(struct history *history);
/* Whether a sample is due by this time of the system's clock. */
bool history_is_due(const struct history *history, uint64_t now_ms);
/* Takes it. Returns up to which revision nobody needs the history any more; 0: as before. */
uint64_t history_add(struct history *history, uint64_t now_ms, uint64_t revision);
