/* What the parts of a fleet's store share: whom it serves, and what etcd says of all. Runs in the
 * store's process. */
#include "store/fleet_state.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "store/database.h"
#include "store/etcd.h"
#include "store/etcd_kv.h"
#include "store/fleet_epochs.h"
#include "store/outbox.h"

_Static_assert((int)HOLDER_HOST_SIZE == (int)STORED_HOST_SIZE, "it is told to the broker");

struct served *fleet_find_served(struct fleet *fleet, struct ipv4 bind)
{
	for (size_t i = 0; i < fleet->n_served; i++)
		if (ipv4_equal(fleet->served[i].bind, bind))
			return &fleet->served[i];
	return NULL;
}

int fleet_supersede(struct fleet *fleet, struct served *served, const struct seen_address *seen)
{
	struct storing_message message = {
		.version = STORING_VERSION,
		.operation = STORING_SUPERSEDED,
		.endpoint = {.bind = served->bind, .epoch = seen->holder.epoch},
	};

	served->state = SERVED_SUPERSEDED;
	served->asked_revision = 0;
	served->is_asked = false;
	fleet_epochs_see(fleet->outbox, served->bind, &seen->holder);
	memcpy(message.host, seen->holder.host, sizeof message.host);
	outbox_forget(fleet->outbox, served->bind);
	return fleet->tell(&message);
}

bool fleet_is_held(const struct served *served)
{
	return served->state == SERVED_CLAIMED || served->state == SERVED_RELEASED;
}

void fleet_compare_holder(struct kv_transaction *transaction, const struct served *served)
{
	kv_compare_value(
		transaction, served->record.name.s, served->record.value, served->record.size);
}

void fleet_put(struct kv_transaction *transaction, const struct record *record)
{
	kv_put(transaction, record->name.s, record->value, record->size);
}

void fleet_keep_written(struct fleet *fleet, struct served *served, const struct record *record)
{
	served->written = record->name;
	served->written_revision = etcd_revision(fleet->etcd);
}

void fleet_compare_written(struct kv_transaction *transaction, const struct served *served)
{
	if (served->written_revision > 0)
		kv_compare_revision_from(transaction, served->written.s, served->written_revision);
}

const char *fleet_why(const struct fleet *fleet, int error)
{
	switch (error) {
	case -EAGAIN:
		return "others write at the same time";
	case -EBADMSG:
		return "what answers is not etcd";
	case -ENOKEY:
		return "what is there is sealed under another key";
	default:
		return etcd_error(fleet->etcd);
	}
}

/* A transaction that changes nothing would cost as much as one that does. */
int fleet_copy_endpoint(struct fleet *fleet, const struct stored_endpoint *endpoint)
{
	struct stored_endpoint copy = {0};
	const bool is_there = outbox_find_endpoint(fleet->outbox, endpoint->bind, &copy) == 1;
	const bool is_same = is_there && memcmp(&copy, endpoint, sizeof copy) == 0;

	key_wipe(&copy.private_key);
	return is_same ? 0 : database_put_endpoint(fleet->database, endpoint);
}

/* The others' endpoints are kept too: their numbers are not ours to give. */
static int copy_endpoints(struct fleet *fleet)
{
	int error = 0;

	for (size_t i = 0; i < fleet->view.n && error == 0; i++) {
		const struct seen_address *seen = &fleet->view.addresses[i];

		if (seen->has_endpoint && !fleet_find_served(fleet, seen->bind))
			error = fleet_copy_endpoint(fleet, &seen->endpoint);
	}
	return error;
}

static const char *why_ignored(int error)
{
	switch (error) {
	case -ENOKEY:
		return "it is sealed under another key";
	case -ESTALE:
		return "it is older than what holds of this address";
	default:
		return "it does not open under the fleet's key";
	}
}

static void say_put_back(struct fleet *fleet)
{
	const struct fleet_view *view = &fleet->view;

	if (view->n_put_back > 0 && view->n_put_back != fleet->n_put_back)
		log_warning("etcd has %zu addresses of an older epoch than this host has seen, "
			    "such as %s: it was put back; what this host has of them holds",
			view->n_put_back, ipv4_text(view->put_back).s);
	fleet->n_put_back = view->n_put_back;
}

int fleet_look(struct fleet *fleet)
{
	struct fleet_view *view = &fleet->view;
	int error = fleet_view_read(view, fleet->etcd, &fleet->maker);

	if (error == 0 && view->n_ignored > 0 && view->n_ignored != fleet->n_ignored)
		log_warning("etcd: %zu records are ignored, the first is %s: %s", view->n_ignored,
			view->ignored.s, why_ignored(view->why));
	if (error == 0) {
		fleet->n_ignored = view->n_ignored;
		fleet_epochs_judge(fleet->outbox, view);
		say_put_back(fleet);
	}
	return error;
}

int fleet_read_view(struct fleet *fleet)
{
	int error = fleet_look(fleet);

	return error < 0 ? error : copy_endpoints(fleet);
}
