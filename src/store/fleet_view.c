/* Reads what etcd says of a fleet's addresses. Runs in the store's process. */
#include "store/fleet_view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "store/etcd_kv.h"

enum {
	/* A fleet has 1,024 at the most. Beyond, they are somebody's who fills etcd. */
	MOST_ADDRESSES = 8192,
};

struct view_reading {
	struct fleet_view *view;
	const struct record_maker *maker;
	struct record_name prefix;
};

static struct seen_address *find(const struct fleet_view *view, struct ipv4 bind)
{
	for (size_t i = 0; i < view->n; i++)
		if (ipv4_equal(view->addresses[i].bind, bind))
			return &view->addresses[i];
	return NULL;
}

const struct seen_address *fleet_view_find(const struct fleet_view *view, struct ipv4 bind)
{
	return find(view, bind);
}

static struct seen_address *find_or_add(struct fleet_view *view, struct ipv4 bind)
{
	struct seen_address *seen = find(view, bind), *grown;

	if (seen || view->n == MOST_ADDRESSES)
		return seen;
	grown = array_grow(view->addresses, view->n, sizeof *grown);
	if (!grown)
		return NULL;
	view->addresses = grown;
	grown[view->n] = (struct seen_address){.bind = bind};
	return &grown[view->n++];
}

static void ignore(struct fleet_view *view, const struct kv *kv, int why)
{
	if (view->n_ignored++ > 0)
		return;
	strncpy(view->ignored.s, kv->key, sizeof view->ignored.s - 1);
	view->why = why;
}

/* Who raises the floor of an address has sealed all of it, under the key of this very record. */
static void count_key(
	struct fleet_view *view, const struct record_maker *maker, const struct seen_address *seen)
{
	if (sealer_is_first_key(maker->sealer, seen->value, seen->size) &&
		seen->holder.floor == seen->holder.epoch)
		return;
	view->needs_second_key = seen->bind;
	view->n_need_second_key++;
}

/* NULL: it is ignored. Behind the prefix there is an address and nothing else: another name would
 * stand for the one that is compared when it is written. */
static struct seen_address *see(struct view_reading *reading, const struct kv *kv)
{
	const struct ipv4 bind = record_address(kv->key);
	const char *rest = kv->key + strlen(reading->prefix.s);

	return bind.value != 0 && strcmp(ipv4_text(bind).s, rest) == 0
		       ? find_or_add(reading->view, bind)
		       : NULL;
}

static int keep_holder(void *context, const struct kv *kv)
{
	struct view_reading *reading = context;
	struct seen_address *seen = see(reading, kv);
	int error;

	if (!seen) {
		ignore(reading->view, kv, -EBADMSG);
		return 0;
	}
	/* Also of one that does not open: it is replaced as it is. */
	seen->holder_revision = kv->mod_revision;
	error = record_open_holder(reading->maker, kv->key, kv->value, kv->size, &seen->holder);
	if (error < 0) {
		ignore(reading->view, kv, error);
		seen->is_foreign = error == -ENOKEY;
		return 0;
	}
	seen->size = kv->size;
	memcpy(seen->value, kv->value, kv->size);
	count_key(reading->view, reading->maker, seen);
	return 0;
}

/* Its holder writes it anew when it raises the floor, so that one of before was put back. Holders
 * are read first: none of these can be older than what was read of them. */
static bool is_older_than_floor(
	const struct seen_address *seen, const struct stored_endpoint *endpoint)
{
	return seen->holder.epoch > 0 && endpoint->epoch < seen->holder.floor;
}

static int keep_endpoint(void *context, const struct kv *kv)
{
	struct view_reading *reading = context;
	struct seen_address *seen = see(reading, kv);
	struct stored_endpoint endpoint;
	int error;

	if (!seen) {
		ignore(reading->view, kv, -EBADMSG);
		return 0;
	}
	seen->endpoint_revision = kv->mod_revision;
	error = record_open_endpoint(reading->maker, kv->key, kv->value, kv->size, &endpoint);
	if (error < 0) {
		ignore(reading->view, kv, error);
		seen->is_foreign |= error == -ENOKEY;
		return 0;
	}
	if (is_older_than_floor(seen, &endpoint)) {
		ignore(reading->view, kv, -ESTALE);
	} else {
		seen->has_endpoint = true;
		seen->endpoint = endpoint;
	}
	explicit_bzero(&endpoint, sizeof endpoint);
	return 0;
}

static int read_kind(
	struct view_reading *reading, struct etcd *etcd, enum record_kind kind, kv_fn *fn)
{
	reading->prefix = record_prefix(reading->maker->fleet, kind, (struct ipv4){0});
	return kv_read(etcd, reading->prefix.s, fn, reading);
}

int fleet_view_read(struct fleet_view *view, struct etcd *etcd, const struct record_maker *maker)
{
	struct view_reading reading = {.view = view, .maker = maker};
	int error;

	fleet_view_free(view);
	error = read_kind(&reading, etcd, RECORD_HOLDER, keep_holder);
	return error < 0 ? error : read_kind(&reading, etcd, RECORD_ENDPOINT, keep_endpoint);
}

static bool is_of_both(const struct stored_endpoint *a, const struct stored_endpoint *b)
{
	const struct prefix first = {a->network, (uint8_t)a->length};
	const struct prefix second = {b->network, (uint8_t)b->length};

	return a->index == b->index || a->port == b->port || prefix_overlaps(first, second);
}

const struct seen_address *fleet_view_collision(
	const struct fleet_view *view, const struct stored_endpoint *endpoint)
{
	for (size_t i = 0; i < view->n; i++) {
		const struct seen_address *other = &view->addresses[i];

		if (other->has_endpoint && !ipv4_equal(other->bind, endpoint->bind) &&
			is_of_both(&other->endpoint, endpoint))
			return other;
	}
	return NULL;
}

void fleet_view_free(struct fleet_view *view)
{
	if (view->addresses)
		explicit_bzero(view->addresses, view->n * sizeof *view->addresses);
	free(view->addresses);
	*view = (struct fleet_view){0};
}
