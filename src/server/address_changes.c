/* Carries what is said of addresses, by whoever says it, to those who act on it. Runs in the
 * broker's event loop. */
#include "server/address_changes.h"

#include <stddef.h>

#include "server/cloud_watch.h"
#include "server/config.h"
#include "server/data_plane.h"
#include "server/follow.h"
#include "server/reporter.h"
#include "server/serving.h"
#include "server/standbys.h"

static int on_address_gained(void *context, struct ipv4 bind)
{
	struct address_changes *changes = context;
	int error = store_setup_gain(
		changes->store, bind, standbys_is_ready(changes->serving->data_plane, bind));

	if (error == 0)
		error = serving_begin(changes->serving, bind);
	if (error == 0)
		store_setup_kept(changes->store, bind);
	address_changes_report(changes);
	return error;
}

static void on_address_lost(void *context, struct ipv4 bind)
{
	struct address_changes *changes = context;

	serving_end(changes->serving, bind);
	address_changes_report(changes);
	if (store_setup_lose(changes->store, bind))
		serving_forget(changes->serving, bind);
}

static void on_cloud_changed(void *context, const struct ipv4 *addresses, size_t n)
{
	struct address_changes *changes = context;

	follow_name(changes->follow, addresses, n);
}

/* Logs. */
static int ask_cloud(struct address_changes *changes)
{
	const struct cloud_watch_config config = {
		.config = changes->config,
		.gates = changes->gates,
		.changed = on_cloud_changed,
		.context = changes,
	};

	return changes->config->is_cloud ? cloud_watch_new(changes->base, &config, &changes->cloud)
					 : 0;
}

static int find_followed(struct address_changes *changes)
{
	struct follow_config config = {
		.config = changes->config,
		.begin = on_address_gained,
		.end = on_address_lost,
		.context = changes,
	};

	config.named = cloud_watch_addresses(changes->cloud, &config.n_named);
	return server_config_expects_any(changes->config)
		       ? follow_new(changes->base, &config, &changes->follow)
		       : 0;
}

int address_changes_find(struct address_changes *changes)
{
	int error = ask_cloud(changes);

	return error < 0 ? error : find_followed(changes);
}

const struct ipv4 *address_changes_present(const struct address_changes *changes, size_t *n)
{
	return follow_present(changes->follow, n);
}

static bool has_address(void *context, struct ipv4 bind)
{
	const struct address_changes *changes = context;

	return follow_has(changes->follow, bind);
}

static void on_superseded(void *context, struct ipv4 bind)
{
	struct address_changes *changes = context;

	data_plane_forsake(changes->serving->data_plane, bind);
	serving_end(changes->serving, bind);
	address_changes_report(changes);
	serving_forget(changes->serving, bind);
	follow_yield(changes->follow, bind);
}

/* What comes so late that the address is served already is made up for. */
static void on_claimed(void *context, struct ipv4 bind)
{
	struct address_changes *changes = context;

	if (data_plane_keep_promises(changes->serving->data_plane, bind))
		store_setup_kept(changes->store, bind);
	else
		follow_go_on(changes->follow, bind);
}

/* Where the host has the address there is nothing to be ready for. */
static bool on_followed(void *context, struct ipv4 bind, bool is_all, bool is_coming)
{
	struct address_changes *changes = context;
	const bool may_open =
		is_all && !is_coming && !changes->is_ended && !follow_has(changes->follow, bind);

	return serving_stand_by(changes->serving, bind, is_all, may_open);
}

struct store_addresses address_changes_of_store(struct address_changes *changes)
{
	return (struct store_addresses){
		.has = has_address,
		.superseded = on_superseded,
		.claimed = on_claimed,
		.followed = on_followed,
		.context = changes,
	};
}

int address_changes_start(struct address_changes *changes)
{
	return changes->follow ? follow_start(changes->follow) : 0;
}

void address_changes_look_again(struct address_changes *changes)
{
	int error;

	if (changes->follow) {
		follow_look_again(changes->follow);
		return;
	}
	error = find_followed(changes);
	if (error == 0 && changes->follow)
		error = follow_start(changes->follow);
	if (error < 0) {
		follow_free(changes->follow);
		changes->follow = NULL;
	}
}

void address_changes_start_report(struct address_changes *changes)
{
	reporter_new(changes->base, changes->config, changes->gates, &changes->reporter);
	address_changes_report(changes);
}

void address_changes_report(const struct address_changes *changes)
{
	reporter_update(changes->reporter, changes->serving->data_plane);
}

void address_changes_end(struct address_changes *changes, bool forgets)
{
	changes->is_ended = true;
	cloud_watch_free(changes->cloud, forgets);
	changes->cloud = NULL;
	follow_free(changes->follow);
	changes->follow = NULL;
	reporter_free(changes->reporter);
	changes->reporter = NULL;
}
