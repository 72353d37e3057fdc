/* Watches who holds the addresses of this host. Runs in the store's process. */
#include "store/fleet_watch.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "store/etcd_kv.h"
#include "store/fleet_put_back.h"
#include "store/fleet_state.h"

enum {
	WATCH_MS = 2000, /* between two looks */
	/* A holder answers at its next look, which may wait for what it sends. */
	ANSWER_MS = 10 * 1000,
	MOST_WATCHED = KV_MOST_OPERATIONS / 3, /* each takes three comparisons */
};

static struct record_name question_about(const struct fleet *fleet, const struct served *served)
{
	return record_prefix(fleet->name, RECORD_QUESTION, served->bind);
}

/* Of those that this host holds: one question for many addresses. All is quiet if the records of
 * ours are as we wrote them, and nobody asks. Returns how far it came, or -errno. */
static int look_at_some(struct fleet *fleet, size_t first, bool *is_quiet)
{
	struct kv_transaction transaction;
	size_t n = 0, i = first;
	int error;

	kv_begin(&transaction);
	for (; i < fleet->n_served && n < MOST_WATCHED; i++) {
		const struct served *served = &fleet->served[i];

		if (!fleet_is_held(served))
			continue;
		fleet_compare_holder(&transaction, served);
		if (served->state == SERVED_CLAIMED) {
			kv_compare_revision(&transaction, question_about(fleet, served).s, 0);
			fleet_compare_written(&transaction, served);
		}
		n++;
	}
	error = kv_commit(fleet->etcd, &transaction, is_quiet);
	return error < 0 ? error : (int)i;
}

static int supersede_if_claimed(struct fleet *fleet, struct served *served)
{
	const struct seen_address *seen = fleet_view_find(&fleet->view, served->bind);

	if (!fleet_is_held(served) || !seen || seen->holder.epoch <= served->holder.epoch)
		return 0;
	return fleet_supersede(fleet, served, seen);
}

/* It is removed only by who is the holder. */
static int answer(struct fleet *fleet, const struct served *served)
{
	const struct record_name question = question_about(fleet, served);
	struct kv_transaction transaction;
	bool done;

	if (served->state != SERVED_CLAIMED)
		return 0;
	kv_begin(&transaction);
	fleet_compare_holder(&transaction, served);
	kv_delete(&transaction, question.s);
	return kv_commit(fleet->etcd, &transaction, &done);
}

static int look_at_all(struct fleet *fleet)
{
	int error = fleet_read_view(fleet);

	for (size_t i = 0; i < fleet->n_served && error == 0; i++)
		error = supersede_if_claimed(fleet, &fleet->served[i]);
	for (size_t i = 0; i < fleet->n_served && error >= 0; i++)
		if (fleet->served[i].state == SERVED_CLAIMED)
			error = fleet_put_back_find(fleet, &fleet->served[i]);
	if (error > 0)
		error = 0;
	for (size_t i = 0; i < fleet->n_served && error == 0; i++)
		error = answer(fleet, &fleet->served[i]);
	return error;
}

int fleet_watch(struct fleet *fleet)
{
	const uint64_t now = clock_now_ms(&system_clock);
	bool is_quiet = true;
	int next = 0;

	if (now < fleet->watch_due_ms)
		return 0;
	fleet->watch_due_ms = now + WATCH_MS;
	while (next >= 0 && (size_t)next < fleet->n_served && is_quiet)
		next = look_at_some(fleet, (size_t)next, &is_quiet);
	if (next < 0)
		return next;
	return is_quiet ? 0 : look_at_all(fleet);
}

/* Asking */

struct holder_question {
	const char *name;
	uint64_t revision; /* 0: there is none */
};

/* Another name that begins so would stay when the holder has answered. */
static int find_question(void *context, const struct kv *kv)
{
	struct holder_question *question = context;

	if (strcmp(kv->key, question->name) == 0)
		question->revision = kv->mod_revision;
	return 0;
}

static int put_question(struct fleet *fleet, const struct record_name *name)
{
	static const uint8_t nothing[] = {'?'};
	struct kv_transaction transaction;
	bool done;

	kv_begin(&transaction);
	kv_compare_revision(&transaction, name->s, 0);
	kv_put(&transaction, name->s, nothing, sizeof nothing);
	return kv_commit(fleet->etcd, &transaction, &done);
}

int fleet_ask_holder(struct fleet *fleet, struct served *served, enum holder_answer *answer)
{
	const struct record_name name = question_about(fleet, served);
	const uint64_t now = clock_now_ms(&system_clock);
	struct holder_question question = {.name = name.s};
	int error = kv_read(fleet->etcd, name.s, find_question, &question);

	*answer = HOLDER_IS_ASKED;
	if (error < 0)
		return error;
	if (question.revision == 0) {
		if (served->is_asked)
			*answer = HOLDER_SERVES;
		served->asked_revision = 0;
		served->is_asked = true;
		return put_question(fleet, &name);
	}
	served->is_asked = true;
	if (question.revision != served->asked_revision) {
		served->asked_revision = question.revision;
		served->asked_ms = now;
	}
	if (now - served->asked_ms >= ANSWER_MS)
		*answer = HOLDER_HAS_LEFT;
	return 0;
}
