#include "test.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>

#include "device/wireguard/allowedips.h"
#include "device/wireguard/allowedips_lookup.h"
#include "device/control.h"
#include "random.h"

/*
 * Workers read while the control thread changes everything under them. What is looked for is what
 * the sanitizers find (run it with -Db_sanitize=thread), and that readers never see anything that
 * was freed or half made.
 */
enum { WORKERS = 3, ROUNDS = 3000, OWNERS = 32, PREFIXES = 600, MARK = 0x5ea1 };

struct owner {
	struct allowedips_owner prefixes;
	uint32_t mark; /* MARK while it lives */
	struct epoch_node retired;
};

struct shared {
	struct epoch epoch;
	struct allowedips table;
	struct index_table indices;
	struct keypairs keypairs;
	_Atomic uint32_t some_index; /* one that was in use lately */
	_Atomic bool done;
	struct timers timers;
	struct inbox inbox;
	struct wg_peer peers[8];
	_Atomic uint64_t n_found, n_requests, n_taken;
};

struct worker {
	struct shared *shared;
	size_t number;
	pthread_t thread;
};

static void look_up_addresses(struct shared *shared, struct random *random)
{
	for (int i = 0; i < 16; i++) {
		struct in_addr four = {htonl(0x0a000000 + (uint32_t)random_below(random, 4096))};
		struct allowedips_owner *found = allowedips_lookup4(&shared->table, &four);

		if (!found)
			continue;
		assert_true(hash_entry(found, struct owner, prefixes)->mark == MARK);
		atomic_fetch_add(&shared->n_found, 1);
	}
}

static void look_up_keys(struct shared *shared)
{
	struct keypair *keypair =
		keypair_of(index_lookup(&shared->indices, atomic_load(&shared->some_index)));
	uint64_t first;

	if (keypair) {
		assert_int_equal(keypair->receive.bytes[0], (uint8_t)keypair->remote_index);
		replay_accept(&keypair->replay, atomic_load(&keypair->send_counter));
	}
	keypair = keypairs_for_sending(&shared->keypairs);
	if (keypair) {
		assert_int_equal(keypair->send.bytes[0], (uint8_t)keypair->remote_index);
		keypair_reserve(keypair, 3, &first);
	}
}

static void note(struct shared *shared, struct random *random, uint64_t now)
{
	struct wg_peer *peer = &shared->peers[random_below(random, 8)];
	bool wake = random_below(random, 2) ? timers_record_sent(&shared->timers, true, now)
					    : timers_record_received(&shared->timers, true, now);

	if (wake || random_below(random, 4) == 0) {
		wg_peer_request(&shared->inbox, peer, PEER_WATCH);
		atomic_fetch_add(&shared->n_requests, 1);
	}
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	struct shared *shared = worker->shared;
	struct random random = {worker->number + 1};

	epoch_online(&shared->epoch, worker->number);
	for (uint64_t now = 1; !atomic_load(&shared->done); now++) {
		look_up_addresses(shared, &random);
		look_up_keys(shared);
		note(shared, &random, now);
		if (random_below(&random, 4) == 0) {
			epoch_offline(&shared->epoch, worker->number);
			epoch_online(&shared->epoch, worker->number);
		}
	}
	epoch_offline(&shared->epoch, worker->number);
	return NULL;
}

static struct owner *owner_new(void)
{
	struct owner *owner = calloc(1, sizeof(*owner));

	owner->mark = MARK;
	return owner;
}

static void owner_free(struct epoch_node *node)
{
	struct owner *owner = hash_entry(node, struct owner, retired);

	owner->mark = 0;
	free(owner);
}

static void change_addresses(struct shared *shared, struct owner **owners, struct random *random)
{
	size_t i = random_below(random, OWNERS);

	for (int j = 0; j < PREFIXES / OWNERS; j++) {
		uint32_t address = htonl(0x0a000000 + (uint32_t)random_below(random, 4096));
		uint8_t length = (uint8_t)(32 - random_below(random, 12));

		assert_int_equal(allowedips_insert(&shared->table, AF_INET, &address, length,
					 &owners[i]->prefixes),
			0);
	}
	i = random_below(random, OWNERS);
	allowedips_remove_all(&shared->table, &owners[i]->prefixes);
	epoch_retire(&shared->epoch, &owners[i]->retired, owner_free);
	owners[i] = owner_new();
}

static void change_keys(struct shared *shared, struct random *random)
{
	struct keypair *keypair = keypair_new();

	keypair->initiator = random_below(random, 2);
	keypair->remote_index = (uint32_t)random_next(random);
	keypair->send.bytes[0] = keypair->receive.bytes[0] = (uint8_t)keypair->remote_index;
	assert_int_equal(index_choose(&shared->indices, &keypair->entry.index), 0);
	index_publish(&shared->indices, &keypair->entry);
	atomic_store(&shared->some_index, keypair->entry.index);
	keypairs_install(&shared->keypairs, &shared->indices, keypair);
	if (keypair_confirm(keypair))
		keypairs_rotate(&shared->keypairs, &shared->indices);
	if (random_below(random, 10) == 0)
		keypairs_clear(&shared->keypairs, &shared->indices);
}

static void take_requests(struct shared *shared)
{
	struct wg_peer *next;

	for (struct wg_peer *peer = inbox_remove_all(&shared->inbox); peer; peer = next) {
		next = atomic_load_explicit(&peer->inbox_next, memory_order_relaxed);
		assert_int_not_equal(atomic_exchange(&peer->requests, 0), 0);
		atomic_fetch_add(&shared->n_taken, 1);
	}
}

static void readers_never_see_what_was_freed_or_is_half_made(void **state)
{
	static struct shared shared;
	struct worker workers[WORKERS];
	struct owner *owners[OWNERS];
	struct random random = {4242};

	(void)state;
	assert_int_equal(epoch_init(&shared.epoch, WORKERS), 0);
	allowedips_init(&shared.table, &shared.epoch);
	assert_int_equal(index_init(&shared.indices, &shared.epoch, noise_random), 0);
	for (int i = 0; i < OWNERS; i++)
		owners[i] = owner_new();
	for (size_t i = 0; i < WORKERS; i++) {
		workers[i] = (struct worker){&shared, i, 0};
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	for (uint64_t round = 1; round <= ROUNDS; round++) {
		change_addresses(&shared, owners, &random);
		change_keys(&shared, &random);
		take_requests(&shared);
		timers_due(&shared.timers, round);
		timers_deadline(&shared.timers, round);
		epoch_reclaim(&shared.epoch);
	}
	atomic_store(&shared.done, true);
	for (size_t i = 0; i < WORKERS; i++)
		pthread_join(workers[i].thread, NULL);
	take_requests(&shared);
	assert_true(shared.n_found > 0);
	assert_true(shared.n_taken > 0 && shared.n_taken <= shared.n_requests);
	for (int i = 0; i < OWNERS; i++) {
		allowedips_remove_all(&shared.table, &owners[i]->prefixes);
		free(owners[i]);
	}
	assert_int_equal(shared.table.count, 0);
	keypairs_clear(&shared.keypairs, &shared.indices);
	assert_int_equal(epoch_reclaim(&shared.epoch), 0);
	epoch_free(&shared.epoch);
	index_free(&shared.indices);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(readers_never_see_what_was_freed_or_is_half_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
