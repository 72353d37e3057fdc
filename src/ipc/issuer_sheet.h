/*
 * All issuers and their keys, in memory that the broker writes and the gates read: no message is
 * needed, and a gate that is started has them at once. A gate cannot change them.
 */
#pragma once

#include <stdint.h>

#include "ipc/issuer.h"

enum {
	/* Keys are good for so long while their issuer cannot be asked. Fetching them is tried
	 * again all the time; whoever is kept from an issuer must not be able to go on with a key
	 * that was withdrawn long ago. */
	ISSUER_KEYS_GOOD_MS = 24 * 60 * 60 * 1000,
	/* An issuer is not asked more often for a key that is not known. */
	ISSUER_ASK_MS = 10 * 1000,
};

struct issuer_sheet;

/* For the broker: one of these n issuers, at most ISSUERS_MAX, without keys. Returns NULL with
 * errno set. */
struct issuer_sheet *issuer_sheet_new(const struct issuer *issuers, unsigned int n);
/* The descriptor that a gate maps it by, for reading alone; the sheet's. */
int issuer_sheet_fd(const struct issuer_sheet *sheet);
/* An issuer's n keys, at most ISSUER_KEYS_MAX, in place of those before. now_ms: the system's
 * clock, as below. */
void issuer_sheet_write(struct issuer_sheet *sheet, unsigned int issuer,
	const struct issuer_key *keys, unsigned int n, uint64_t now_ms);
/* They could not be fetched: those that are there stay. */
void issuer_sheet_record_failure(struct issuer_sheet *sheet, unsigned int issuer, uint64_t now_ms);

/* For a gate: maps it; the descriptor stays the caller's, who may close it. Returns NULL with errno
 * set; it is EPROTO for what is none. */
struct issuer_sheet *issuer_sheet_map(int fd);

unsigned int issuer_sheet_count(const struct issuer_sheet *sheet);
const struct issuer *issuer_sheet_get(const struct issuer_sheet *sheet, unsigned int issuer);

/* A copy of the issuer's key of this name and kind. Returns 0 or -ENOENT. */
int issuer_sheet_find(const struct issuer_sheet *sheet, unsigned int issuer, const char *kid,
	enum issuer_key_kind kind, uint64_t now_ms, struct issuer_key *key);
/* When fetching them has last succeeded or failed; 0: not yet. */
uint64_t issuer_sheet_tried_ms(const struct issuer_sheet *sheet, unsigned int issuer);

/* NULL is fine. */
void issuer_sheet_free(struct issuer_sheet *sheet);
