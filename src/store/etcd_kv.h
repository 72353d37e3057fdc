/* What etcd holds: pages of keys with their values, and transactions (etcd.io/docs/v3.4/learning/
 * api). Keys are texts here; values are bytes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

struct etcd;

enum {
	KV_MOST_OPERATIONS = 128, /* of a transaction; etcd's --max-txn-ops */
};

struct kv {
	const char *key;
	const uint8_t *value;
	size_t size;
	uint64_t mod_revision; /* of the change that it was written with last */
};

/* Non-zero ends it, and is returned. */
typedef int kv_fn(void *context, const struct kv *kv);
/* Calls back for all keys that begin with this, in their order, page by page. Returns 0, as
 * etcd_ask(), or -EBADMSG: the answer is none that etcd would give. */
int kv_read(struct etcd *etcd, const char *prefix, kv_fn *fn, void *context);
/* Likewise, but only what was written after this revision of etcd's; 0: all. *revision becomes the
 * one that nothing up to was missed of, for the next time. */
int kv_read_since(
	struct etcd *etcd, const char *prefix, uint64_t *revision, kv_fn *fn, void *context);

/* A transaction that is being made. Zeroed it is none; kv_begin() makes it. */
struct kv_transaction {
	json_t *compare, *success;
	bool is_broken; /* there was no memory for a part of it: it is not to be done */
};

void kv_begin(struct kv_transaction *transaction);
/* It does nothing unless the key was changed last with this revision; 0: unless there is none. */
void kv_compare_revision(struct kv_transaction *transaction, const char *key, uint64_t revision);
/* Likewise, unless it was changed last with this revision or a later one. */
void kv_compare_revision_from(
	struct kv_transaction *transaction, const char *key, uint64_t revision);
/* It does nothing unless the key has this value. */
void kv_compare_value(
	struct kv_transaction *transaction, const char *key, const uint8_t *value, size_t size);
void kv_put(struct kv_transaction *transaction, const char *key, const uint8_t *value, size_t size);
/* Likewise, and it goes when the lease ends. */
void kv_put_leased(struct kv_transaction *transaction, const char *key, const uint8_t *value,
	size_t size, uint64_t lease);
/* One that is not there is fine. */
void kv_delete(struct kv_transaction *transaction, const char *key);

/* Ends it. *done: all comparisons held, and all is written. Returns 0 or as etcd_ask(): then it may
 * have been done all the same. */
int kv_commit(struct etcd *etcd, struct kv_transaction *transaction, bool *done);

/* A lease that ends after so long. Returns 0 or as etcd_ask(). */
int kv_grant_lease(struct etcd *etcd, uint64_t seconds, uint64_t *lease);
/* All that was replaced up to a revision is forgotten. Returns 0 or as etcd_ask(); -EALREADY if it
 * is. */
int kv_compact(struct etcd *etcd, uint64_t revision);
