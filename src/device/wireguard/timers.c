/* The timers of a session: workers record in atomics, the control thread asks what is due. */
#include "device/wireguard/timers.h"

/* How exact `traversed` and `wanted` are: workers write them no oftener. */
enum { COARSE_MS = 100 };

static uint64_t since(const _Atomic uint64_t *moment)
{
	return atomic_load_explicit(moment, memory_order_relaxed);
}

static void record_coarsely(_Atomic uint64_t *moment, uint64_t now_ms)
{
	uint64_t last = since(moment);

	if (now_ms >= last + COARSE_MS || last == 0)
		atomic_store_explicit(moment, now_ms, memory_order_relaxed);
}

/* True if it is recorded now and was not before. */
static bool record_first(_Atomic uint64_t *moment, uint64_t now_ms)
{
	if (since(moment) != 0)
		return false;
	/* In one order with `watched`: see watch(). */
	atomic_store_explicit(moment, now_ms, memory_order_seq_cst);
	return true;
}

static void record_none(_Atomic uint64_t *moment)
{
	if (since(moment) != 0)
		atomic_store_explicit(moment, 0, memory_order_relaxed);
}

static bool is_watched(const struct timers *timers)
{
	return atomic_load_explicit(&timers->watched, memory_order_seq_cst);
}

bool timers_record_sent(struct timers *timers, bool data, uint64_t now_ms)
{
	bool first = data && record_first(&timers->unanswered_since, now_ms);

	record_none(&timers->owed_since);
	record_coarsely(&timers->traversed, now_ms);
	return first && !is_watched(timers);
}

bool timers_record_received(struct timers *timers, bool data, uint64_t now_ms)
{
	bool first = data && record_first(&timers->owed_since, now_ms);

	record_none(&timers->unanswered_since);
	record_coarsely(&timers->traversed, now_ms);
	return first && !is_watched(timers);
}

void timers_record_wanted(struct timers *timers, uint64_t now_ms)
{
	record_coarsely(&timers->wanted, now_ms);
}

bool timers_begin_handshake(struct timers *timers, uint64_t now_ms)
{
	uint64_t earliest =
		timers->initiation_sent ? timers->initiation_sent + REKEY_TIMEOUT_MS : now_ms;

	if (timers->retransmit_at)
		return false;
	timers->handshake_began = now_ms;
	timers->retransmit_at = earliest > now_ms ? earliest : now_ms + REKEY_TIMEOUT_MS;
	return earliest <= now_ms;
}

void timers_initiation_sent(struct timers *timers, uint64_t now_ms, uint16_t jitter_ms)
{
	timers->initiation_sent = now_ms;
	timers->jitter_ms = jitter_ms;
	timers->retransmit_at = now_ms + REKEY_TIMEOUT_MS + jitter_ms;
}

void timers_end_handshake(struct timers *timers)
{
	timers->retransmit_at = 0;
}

void timers_session_made(struct timers *timers, uint64_t now_ms)
{
	timers->zero_at = now_ms + TIMERS_ZERO_MS;
}

void timers_session_confirmed(struct timers *timers)
{
	timers->retransmit_at = 0;
}

/* When an answer is missed for so long that the other side must have forgotten us: 6.2 */
static uint64_t unanswered_deadline(const struct timers *timers)
{
	uint64_t moment = since(&timers->unanswered_since);

	return moment ? moment + KEEPALIVE_TIMEOUT_MS + REKEY_TIMEOUT_MS + timers->jitter_ms
		      : DEADLINE_NEVER;
}

/* When the other side must hear that its data has come: 6.5 */
static uint64_t owed_deadline(const struct timers *timers)
{
	uint64_t moment = since(&timers->owed_since);

	return moment ? moment + KEEPALIVE_TIMEOUT_MS : DEADLINE_NEVER;
}

static uint64_t persistent_deadline(const struct timers *timers)
{
	uint64_t traversed = since(&timers->traversed);

	if (timers->persistent_s == 0)
		return DEADLINE_NEVER;
	return traversed ? traversed + (uint64_t)timers->persistent_s * 1000 : 0;
}

/* 6.4: no longer than REKEY_ATTEMPT_TIME since it began, or since data was last to be sent. */
static unsigned int retransmit(struct timers *timers, uint64_t now_ms)
{
	uint64_t wanted = since(&timers->wanted);
	uint64_t began = wanted > timers->handshake_began ? wanted : timers->handshake_began;

	if (now_ms >= began + REKEY_ATTEMPT_TIME_MS) {
		timers->retransmit_at = 0;
		return TIMERS_GIVE_UP;
	}
	timers->retransmit_at = now_ms + REKEY_TIMEOUT_MS;
	/* the first one of a handshake may only have had to wait */
	return TIMERS_HANDSHAKE |
	       (timers->initiation_sent >= timers->handshake_began ? TIMERS_FORGET_SOURCE : 0);
}

unsigned int timers_due(struct timers *timers, uint64_t now_ms)
{
	unsigned int actions = 0;

	if (timers->retransmit_at && now_ms >= timers->retransmit_at)
		actions |= retransmit(timers, now_ms);
	if (timers->zero_at && now_ms >= timers->zero_at) {
		timers->zero_at = 0;
		actions |= TIMERS_ZERO;
	}
	if (now_ms >= unanswered_deadline(timers)) {
		record_none(&timers->unanswered_since);
		actions |= TIMERS_FORGET_SOURCE;
		if (timers_begin_handshake(timers, now_ms))
			actions |= TIMERS_HANDSHAKE;
	}
	if (now_ms >= owed_deadline(timers)) {
		record_none(&timers->owed_since);
		actions |= TIMERS_KEEPALIVE;
	}
	if (now_ms >= persistent_deadline(timers)) {
		atomic_store_explicit(&timers->traversed, now_ms, memory_order_relaxed);
		actions |= TIMERS_KEEPALIVE;
	}
	return actions;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/*
 * Whether anything is recorded. If not, workers must call us for the next record. One that records
 * something just now either finds watched false, or has recorded it before we read again: each side
 * writes one and then reads the other, all in one order.
 */
static bool watch(struct timers *timers)
{
	for (int i = 0; i < 2; i++) {
		if (atomic_load_explicit(&timers->unanswered_since, memory_order_seq_cst) ||
			atomic_load_explicit(&timers->owed_since, memory_order_seq_cst)) {
			atomic_store_explicit(&timers->watched, true, memory_order_seq_cst);
			return true;
		}
		atomic_store_explicit(&timers->watched, false, memory_order_seq_cst);
	}
	return false;
}

uint64_t timers_deadline(struct timers *timers, uint64_t now_ms)
{
	uint64_t at = persistent_deadline(timers);

	if (timers->retransmit_at)
		at = earlier(at, timers->retransmit_at);
	if (timers->zero_at)
		at = earlier(at, timers->zero_at);
	if (watch(timers)) {
		at = earlier(at, unanswered_deadline(timers));
		at = earlier(at, owed_deadline(timers));
		/* What is recorded from now on is due no earlier than this. */
		at = earlier(at, now_ms + KEEPALIVE_TIMEOUT_MS);
	}
	return at;
}
