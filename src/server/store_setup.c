/* Starts the store. Runs in the broker, at its start and end. */
#include "server/store_setup.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/program.h"
#include "server/claims.h"
#include "server/config.h"
#include "server/gate_setup.h"
#include "server/held_answers.h"
#include "server/possible_client.h"
#include "server/store_files.h"
#include "server/store_link.h"
#include "server/unserved.h"

enum {
	LOAD_MS = 10000, /* 50,000 peers take well under a second */
	LOAD_FLEET_MS = 50000, /* from etcd; the store itself waits for less */
};

_Static_assert((int)STORE_MOST_BLOCKS == (int)MAX_FOLLOWED, "room for each --follow");
_Static_assert((int)STORE_MOST_SERVED == (int)MAX_BINDS, "room for each address of a server");

#define NOT_ORDERED_YET UINT64_MAX /* a sequence number that none has */

static const char store_user[] = "vprox-store";

static void on_durable(void *context, uint64_t sequence)
{
	struct store_setup *setup = context;

	if (setup->held)
		held_answers_durable(setup->held, sequence);
}

static void on_lost(void *context)
{
	struct store_setup *setup = context;

	/* There are no tables any more to be promised from. */
	if (setup->is_closing)
		return;
	store_link_forget(setup->link);
	if (setup->held)
		held_answers_lost(setup->held, NOT_ORDERED_YET);
	setup->order_all(setup->context);
	if (setup->claims)
		claims_lost(setup->claims);
}

void store_setup_all_is_ordered(struct store_setup *setup)
{
	if (setup->held)
		held_answers_lost(setup->held, store_link_newest(setup->link));
}

static void forsake(struct store_setup *setup, struct ipv4 bind)
{
	if (!setup->is_closing)
		setup->forsake(setup->context, bind);
}

static void on_superseded(void *context, struct ipv4 bind, const char *host)
{
	struct store_setup *setup = context;
	bool was_ours = setup->claims && claims_superseded(setup->claims, bind);

	/* It may have gone a moment ago: it is served for a while longer. */
	if ((was_ours && setup->addresses.has(setup->addresses.context, bind)) ||
		server_config_has_bind(setup->config, bind))
		log_error("endpoint %s: host %s has claimed it: what is promised of it here is "
			  "stored no more",
			ipv4_text(bind).s, host);
	/* As it should be: this host has the address no more. */
	else if (host[0] != '\0')
		log_info("endpoint %s: host %s has claimed it", ipv4_text(bind).s, host);
	if (was_ours)
		setup->addresses.superseded(setup->addresses.context, bind);
	else if (server_config_has_bind(setup->config, bind))
		forsake(setup, bind);
}

static void on_collides(
	void *context, const struct stored_endpoint *endpoint, struct ipv4 other, const char *host)
{
	const struct prefix block = {endpoint->network, (uint8_t)endpoint->length};

	if (host[0] != '\0')
		log_error("endpoint %s: number %u, block %s is what its fleet knows it by too, but "
			  "with another key and other clients, of host %s",
			ipv4_text(other).s, endpoint->index, prefix_text(block).s, host);
	else if (ipv4_equal(endpoint->bind, other))
		log_error(
			"endpoint %s: number %u, block %s is not what its fleet knows it by: it is "
			"not stored",
			ipv4_text(other).s, endpoint->index, prefix_text(block).s);
	else
		log_error("endpoint %s: number %u, block %s belongs to %s, of another host of the "
			  "fleet",
			ipv4_text(endpoint->bind).s, endpoint->index, prefix_text(block).s,
			ipv4_text(other).s);
	forsake(context, endpoint->bind);
}

static void copy_path(char field[STORE_PATH_SIZE], const char *path)
{
	snprintf(field, STORE_PATH_SIZE, "%s", path ? path : "");
}

static void add_served(struct store_config *store, const struct ipv4 *binds, size_t n)
{
	for (size_t i = 0; i < n && store->n_served < STORE_MOST_SERVED; i++)
		store->served[store->n_served++] = binds[i];
}

static void add_blocks(struct store_config *store, const struct server_config *config)
{
	for (size_t i = 0; i < config->n_followed; i++)
		store->blocks[store->n_blocks++] = (struct store_block){
			config->followed[i].address, config->followed[i].length};
}

static void describe_etcd(struct store_setup *setup, struct store_config *store)
{
	const struct server_config *config = setup->config;
	struct store_etcd *etcd = &store->etcd;

	*etcd = config->etcd;
	snprintf(etcd->user, sizeof etcd->user, "%s", config->etcd_user ? config->etcd_user : "");
	copy_path(etcd->fleet_key, config->fleet_key);
	copy_path(etcd->ca, config->etcd_ca);
	copy_path(etcd->certificate, config->etcd_certificate);
	copy_path(etcd->key, config->etcd_key);
	copy_path(etcd->password, config->etcd_password);
	etcd->history_s = (uint32_t)(config->etcd_history_ms / 1000);
	setup->promised.is_of_fleet = true;
	if (config->n_binds > 0)
		log_info("an address of --ip moves to another host with its server only; one that "
			 "another program moves, such as keepalived, is for --follow");
	add_served(store, config->binds, config->n_binds);
	add_blocks(store, config);
}

static void keep_record(void *context, const struct storing_message *record)
{
	struct store_setup *setup = context;
	const struct stored_peer *peer;

	if (!record) {
		promised_free(&setup->promised);
		return;
	}
	peer = &record->peer;
	/* The address may be this host's own since. */
	if (record->operation == STORING_PEER && peer->kind == STORED_IPIP &&
		!is_possible_client(setup->config, peer->remote)) {
		log_warning("endpoint %s: no IPIP tunnel is possible to %s, who was promised one",
			ipv4_text(peer->bind).s, ipv4_text(peer->remote).s);
		return;
	}
	if (promised_add(&setup->promised, record) < 0)
		log_error("cannot read all that is stored: %s", strerror(ENOMEM));
}

static void on_record(void *context, const struct storing_message *record)
{
	struct store_setup *setup = context;

	if (record->operation == STORING_ENDPOINT && setup->claims &&
		claims_heard(setup->claims, record->endpoint.bind))
		promised_forget(&setup->promised, record->endpoint.bind);
	keep_record(setup, record);
}

static void on_claimed(void *context, struct ipv4 bind)
{
	struct store_setup *setup = context;

	if (!setup->claims || (!claims_answered(setup->claims, bind) &&
				      !server_config_has_bind(setup->config, bind)))
		return;
	promised_sort(&setup->promised);
	setup->addresses.claimed(setup->addresses.context, bind);
}

static void on_following(void *context, struct ipv4 bind, bool is_all)
{
	struct store_setup *setup = context;

	setup->is_all = is_all;
	promised_forget(&setup->promised, bind);
}

static void on_followed(void *context, struct ipv4 bind)
{
	struct store_setup *setup = context;
	const bool is_coming = setup->claims && claims_has(setup->claims, bind);

	promised_sort(&setup->promised);
	if (setup->is_closing ||
		setup->addresses.followed(setup->addresses.context, bind, setup->is_all, is_coming))
		promised_forget(&setup->promised, bind);
}

static int load(struct store_setup *setup)
{
	int error = store_link_load(setup->link,
		setup->config->store == STORE_ETCD ? LOAD_FLEET_MS : LOAD_MS, keep_record, setup);

	if (error == -EEXIST) {
		log_error("the server does not start: `vprox fleet renumber` gives up what "
			  "collides; then its clients get other addresses, once");
		return error;
	}
	if (error < 0 && error != -ECANCELED)
		log_error("what is in the store cannot be read: what was promised before and is "
			  "not there is not made");
	promised_sort(&setup->promised);
	/* Of what several hosts share, it is not for one of them to say. */
	if (setup->config->store == STORE_LOCAL)
		unserved_forget(&setup->promised, setup->config, setup->link);
	return 0;
}

/* Those that are there at the start are claimed when the store starts. */
static int make_claims(struct store_setup *setup, const struct ipv4 *followed, size_t n)
{
	int error = claims_new(setup->link, &system_clock, &setup->claims);

	for (size_t i = 0; i < n && error == 0; i++)
		error = claims_add(setup->claims, followed[i]);
	return error;
}

static bool more_come(void *context, size_t n_ordered)
{
	struct store_setup *setup = context;

	return !setup->is_closing && setup->more_come(setup->context, n_ordered);
}

static int start(struct store_setup *setup, struct event_base *base,
	const struct store_link_config *link, const struct held_answers_config *held)
{
	int error = held_answers_new(base, held, &setup->held);

	if (error == 0)
		error = store_link_new(base, link, &setup->link);
	if (error < 0) {
		held_answers_free(setup->held);
		setup->held = NULL;
	}
	return error;
}

int store_setup_open(struct store_setup *setup, struct event_base *base,
	const struct server_config *config, const struct gate_config *gates,
	const struct ipv4 *followed, size_t n, endpoint_answer_fn *answer)
{
	const struct held_answers_config held = {
		.wait_ms = config->store_wait_ms,
		.answer = answer,
		.context = setup->context,
		.clock = &system_clock,
	};
	struct store_link_config link = {
		.store = {.version = STORING_VERSION,
			.log_level = config->log_level,
			.log_format = config->log_format,
			.folder = STORE_FOLDER},
		.program = setup->program,
		.on_durable = on_durable,
		.on_lost = on_lost,
		.on_superseded = on_superseded,
		.on_collides = on_collides,
		.on_record = on_record,
		.on_claimed = on_claimed,
		.on_following = on_following,
		.on_followed = on_followed,
		.more_come = more_come,
		.context = setup,
	};
	const char *what = setup->program;
	int error;

	setup->config = config;
	if (config->store == STORE_NONE)
		return 0;
	if (config->store == STORE_ETCD) {
		describe_etcd(setup, &link.store);
		add_served(&link.store, followed, n);
	}
	gate_setup_choose_user(store_user, gates, &link.store.user, &link.store.group);
	error = program_find("vprox-store", setup->program);
	if (error == 0) {
		what = STORE_FOLDER;
		error = store_files_prepare(link.store.user, link.store.group);
	}
	if (error == 0)
		error = start(setup, base, &link, &held);
	if (error == 0 && config->store == STORE_ETCD)
		error = make_claims(setup, followed, n);
	if (error == 0)
		return load(setup);
	log_error("no store, %s: %s: tunnels work, and are forgotten if this host fails", what,
		strerror(-error));
	return 0;
}

static bool take_key(const struct stored_endpoint *stored, struct key *key)
{
	if (!stored || key_is_zero(&stored->private_key))
		return false;
	*key = stored->private_key;
	return true;
}

bool store_setup_find_key(const struct store_setup *setup, struct key *key)
{
	const struct server_config *config = setup->config;
	const struct promised *promised = &setup->promised;

	for (size_t i = 0; i < config->n_binds; i++)
		if (take_key(promised_endpoint(promised, config->binds[i]), key))
			return true;
	for (size_t i = 0; i < promised->n_endpoints; i++)
		if (server_config_expects(config, promised->endpoints[i].bind) &&
			take_key(&promised->endpoints[i], key))
			return true;
	return false;
}

int store_setup_gain(struct store_setup *setup, struct ipv4 bind, bool is_ready)
{
	if (!setup->claims)
		return 0;
	/* Some may have come of others, which are not all there yet. */
	promised_sort(&setup->promised);
	return claims_ask(setup->claims, bind, is_ready);
}

void store_setup_kept(struct store_setup *setup, struct ipv4 bind)
{
	promised_forget(&setup->promised, bind);
}

bool store_setup_lose(struct store_setup *setup, struct ipv4 bind)
{
	if (!setup->claims)
		return false;
	claims_release(setup->claims, bind);
	promised_forget(&setup->promised, bind);
	return true;
}

void store_setup_close(struct store_setup *setup)
{
	setup->is_closing = true;
	held_answers_free(setup->held);
	setup->held = NULL;
	claims_free(setup->claims);
	setup->claims = NULL;
	store_link_free(setup->link);
	setup->link = NULL;
	promised_free(&setup->promised);
}
