/* The keys of sessions: made, rotated and retired in the control thread, used by every worker. */
#include "device/wireguard/keypair.h"

#include <stdlib.h>
#include <string.h>

struct keypair *keypair_new(void)
{
	struct keypair *keypair = aligned_alloc(CACHE_LINE, sizeof(*keypair));

	if (!keypair)
		return NULL;
	memset(keypair, 0, sizeof *keypair);
	keypair->entry.kind = INDEX_KEYPAIR;
	return keypair;
}

void keypair_free(struct keypair *keypair)
{
	if (!keypair)
		return;
	explicit_bzero(keypair, sizeof *keypair);
	free(keypair);
}

static void free_retired(struct epoch_node *node)
{
	keypair_free(hash_entry(node, struct keypair, retired));
}

bool keypair_reserve(struct keypair *keypair, uint64_t n, uint64_t *first)
{
	/* Looked at first, so that asking again and again for a key that is used up does not run
	 * the counter over. */
	if (atomic_load_explicit(&keypair->send_counter, memory_order_relaxed) >=
		REJECT_AFTER_MESSAGES)
		return false;
	*first = atomic_fetch_add_explicit(&keypair->send_counter, n, memory_order_relaxed);
	return *first < REJECT_AFTER_MESSAGES && REJECT_AFTER_MESSAGES - *first >= n;
}

static bool ask_once(struct keypair *keypair)
{
	return !atomic_load_explicit(&keypair->rekey_asked, memory_order_relaxed) &&
	       !atomic_exchange_explicit(&keypair->rekey_asked, true, memory_order_relaxed);
}

bool keypair_rekey_after_send(struct keypair *keypair, uint64_t now_ms)
{
	bool used = atomic_load_explicit(&keypair->send_counter, memory_order_relaxed) >=
		    REKEY_AFTER_MESSAGES;
	bool old = keypair->initiator && keypair_age(keypair, now_ms) >= REKEY_AFTER_TIME_MS;

	return (used || old) && ask_once(keypair);
}

bool keypair_rekey_after_receive(struct keypair *keypair, uint64_t now_ms)
{
	/* 6.2: so late that after it neither a keepalive nor another try would be in time. */
	const uint64_t last_minute = REJECT_AFTER_TIME_MS - KEEPALIVE_TIMEOUT_MS - REKEY_TIMEOUT_MS;

	return keypair->initiator && keypair_age(keypair, now_ms) >= last_minute &&
	       ask_once(keypair);
}

static void retire(struct keypair *keypair, struct index_table *table)
{
	if (!keypair)
		return;
	index_remove(table, &keypair->entry);
	epoch_retire(table->epoch, &keypair->retired, free_retired);
}

static void set_current(struct keypairs *keypairs, struct keypair *keypair)
{
	atomic_store_explicit(&keypairs->current, keypair, memory_order_release);
}

static struct keypair *own_current(struct keypairs *keypairs)
{
	return atomic_load_explicit(&keypairs->current, memory_order_relaxed);
}

static void set_next(struct keypairs *keypairs, struct keypair *keypair)
{
	atomic_store_explicit(&keypairs->next, keypair, memory_order_release);
}

static struct keypair *own_next(struct keypairs *keypairs)
{
	return atomic_load_explicit(&keypairs->next, memory_order_relaxed);
}

/* Read in this order, as it is written the other way round: whoever finds next empty, because it
 * has become current, finds it there. */
struct keypair *keypairs_for_sending(const struct keypairs *keypairs)
{
	struct keypair *next = atomic_load_explicit(&keypairs->next, memory_order_acquire);

	if (next && atomic_load_explicit(&next->confirmed, memory_order_acquire))
		return next;
	return atomic_load_explicit(&keypairs->current, memory_order_acquire);
}

void keypairs_install(struct keypairs *keypairs, struct index_table *table, struct keypair *fresh)
{
	struct keypair *current = own_current(keypairs), *next = own_next(keypairs);

	retire(keypairs->previous, table);
	keypairs->previous = NULL;
	if (!fresh->initiator) {
		/* The other side may not have got our response, and goes on with current. */
		set_next(keypairs, fresh);
		retire(next, table);
		return;
	}
	set_current(keypairs, fresh);
	set_next(keypairs, NULL);
	if (next) {
		/* Both sides began at once. The other may be using what we call next. */
		keypairs->previous = next;
		retire(current, table);
	} else {
		keypairs->previous = current;
	}
}

bool keypairs_rotate(struct keypairs *keypairs, struct index_table *table)
{
	struct keypair *next = own_next(keypairs);

	if (!next || !atomic_load_explicit(&next->confirmed, memory_order_relaxed))
		return false;
	retire(keypairs->previous, table);
	keypairs->previous = own_current(keypairs);
	set_current(keypairs, next);
	set_next(keypairs, NULL);
	return true;
}

void keypairs_clear(struct keypairs *keypairs, struct index_table *table)
{
	struct keypair *current = own_current(keypairs), *next = own_next(keypairs);

	set_current(keypairs, NULL);
	set_next(keypairs, NULL);
	retire(current, table);
	retire(keypairs->previous, table);
	retire(next, table);
	keypairs->previous = NULL;
}
