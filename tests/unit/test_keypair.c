#include "test.h"

#include "device/wireguard/keypair.h"
#include "device/wireguard/noise.h"

static struct epoch epoch;
static struct index_table table;
static struct keypairs keypairs;

static int set_up(void **state)
{
	(void)state;
	memset(&keypairs, 0, sizeof keypairs);
	epoch_init(&epoch, 1);
	return index_init(&table, &epoch, noise_random);
}

static int tear_down(void **state)
{
	(void)state;
	keypairs_clear(&keypairs, &table);
	assert_int_equal(table.count, 0);
	epoch_free(&epoch);
	index_free(&table);
	return 0;
}

static struct keypair *fresh(bool initiator)
{
	struct keypair *keypair = keypair_new();

	assert_non_null(keypair);
	keypair->initiator = initiator;
	atomic_init(&keypair->confirmed, initiator);
	assert_int_equal(index_choose(&table, &keypair->entry.index), 0);
	index_publish(&table, &keypair->entry);
	return keypair;
}

static struct keypair *install(bool initiator)
{
	struct keypair *keypair = fresh(initiator);

	keypairs_install(&keypairs, &table, keypair);
	return keypair;
}

static bool found(uint32_t index)
{
	return index_lookup(&table, index) != NULL;
}

static void an_initiators_session_is_for_sending_at_once(void **state)
{
	(void)state;
	struct keypair *a = install(true);
	assert_ptr_equal(keypairs.current, a);
	struct keypair *b = install(true);
	assert_ptr_equal(keypairs.current, b);
	assert_ptr_equal(keypairs.previous, a);
	uint32_t oldest = a->entry.index;
	install(true);
	assert_ptr_equal(keypairs.previous, b);
	assert_false(found(oldest));
}

static void a_responders_session_waits_for_the_first_packet(void **state)
{
	(void)state;
	struct keypair *a = install(true);
	struct keypair *b = install(false);
	assert_ptr_equal(keypairs.current, a);
	assert_ptr_equal(keypairs.next, b);
	assert_false(keypairs_rotate(&keypairs, &table));
	assert_true(keypair_confirm(b));
	assert_false(keypair_confirm(b));
	assert_false(keypair_confirm(a));
	assert_true(keypairs_rotate(&keypairs, &table));
	assert_ptr_equal(keypairs.current, b);
	assert_ptr_equal(keypairs.previous, a);
	assert_null(keypairs.next);
	assert_false(keypairs_rotate(&keypairs, &table));
}

static void a_newer_handshake_replaces_the_one_that_was_not_confirmed(void **state)
{
	(void)state;
	struct keypair *a = install(true), *b = install(false);
	uint32_t replaced = b->entry.index;
	struct keypair *c = install(false);
	assert_ptr_equal(keypairs.current, a);
	assert_ptr_equal(keypairs.next, c);
	assert_false(found(replaced));
	assert_true(found(c->entry.index));
}

static void where_both_began_at_once_the_others_session_is_still_received(void **state)
{
	(void)state;
	struct keypair *b = install(false), *a = install(true);
	assert_ptr_equal(keypairs.current, a);
	assert_ptr_equal(keypairs.previous, b);
	assert_null(keypairs.next);
}

static void what_falls_out_is_kept_while_a_worker_may_hold_it(void **state)
{
	(void)state;
	struct keypair *a = install(true);
	a->send.bytes[0] = 7;
	epoch_online(&epoch, 0);
	assert_ptr_equal(keypair_of(index_lookup(&table, a->entry.index)), a);
	keypairs_clear(&keypairs, &table);
	assert_int_equal(epoch_reclaim(&epoch), 1);
	assert_int_equal(a->send.bytes[0], 7);
	epoch_offline(&epoch, 0);
	epoch_online(&epoch, 0);
	assert_int_equal(epoch_reclaim(&epoch), 0);
}

static void counters_are_given_out_once_and_end(void **state)
{
	struct keypair *a = install(true);
	uint64_t first;

	(void)state;
	assert_true(keypair_reserve(a, 64, &first));
	assert_int_equal(first, 0);
	assert_true(keypair_reserve(a, 1, &first));
	assert_int_equal(first, 64);
	atomic_store(&a->send_counter, REJECT_AFTER_MESSAGES - 10);
	assert_false(keypair_reserve(a, 64, &first));
	atomic_store(&a->send_counter, REJECT_AFTER_MESSAGES - 10);
	assert_true(keypair_reserve(a, 10, &first));
	for (int i = 0; i < 100000; i++)
		assert_false(keypair_reserve(a, 64, &first));
	assert_false(keypair_alive(a, 0));
}

static void a_key_ends_with_its_time(void **state)
{
	struct keypair *a = install(true);
	const uint64_t made = 5000;

	(void)state;
	a->made_ms = made;
	assert_true(keypair_alive(a, made - 10)); /* a batch that began before */
	assert_true(keypair_alive(a, made + REJECT_AFTER_TIME_MS - 1));
	assert_false(keypair_alive(a, made + REJECT_AFTER_TIME_MS));
}

static void the_initiator_asks_once_for_a_new_key_after_120_s_of_sending(void **state)
{
	struct keypair *a = install(true), *b = install(false);

	(void)state;
	assert_false(keypair_rekey_after_send(a, REKEY_AFTER_TIME_MS - 1));
	assert_true(keypair_rekey_after_send(a, REKEY_AFTER_TIME_MS));
	assert_false(keypair_rekey_after_send(a, REKEY_AFTER_TIME_MS));
	assert_false(keypair_rekey_after_send(b, REKEY_AFTER_TIME_MS));
	atomic_store(&b->send_counter, REKEY_AFTER_MESSAGES);
	assert_true(keypair_rekey_after_send(b, 0));
}

static void the_initiator_asks_for_a_new_key_when_it_only_receives(void **state)
{
	struct keypair *a = install(true), *b = install(false);

	(void)state;
	assert_false(keypair_rekey_after_receive(a, 165 * 1000 - 1));
	assert_true(keypair_rekey_after_receive(a, 165 * 1000));
	assert_false(keypair_rekey_after_receive(a, 165 * 1000));
	assert_false(keypair_rekey_after_receive(b, 165 * 1000));
}

static void indices_are_found_until_they_are_removed(void **state)
{
	enum { N = 3000 };
	static struct index_entry entries[N];

	(void)state;
	for (int i = 0; i < N; i++) {
		assert_int_equal(index_choose(&table, &entries[i].index), 0);
		assert_false(found(entries[i].index));
		index_publish(&table, &entries[i]);
	}
	for (int i = 0; i < N; i++)
		assert_ptr_equal(index_lookup(&table, entries[i].index), &entries[i]);
	for (int i = 0; i < N; i += 2)
		index_remove(&table, &entries[i]);
	for (int i = 0; i < N; i++)
		assert_int_equal(found(entries[i].index), i % 2);
	/* Taken over: the old one's removal is then no one's business. */
	struct index_entry heir = {.kind = INDEX_KEYPAIR};
	index_replace(&table, &entries[1], &heir);
	assert_ptr_equal(index_lookup(&table, entries[1].index), &heir);
	index_remove(&table, &entries[1]);
	assert_ptr_equal(index_lookup(&table, heir.index), &heir);
	index_remove(&table, &heir);
	for (int i = 3; i < N; i += 2)
		index_remove(&table, &entries[i]);
	assert_int_equal(table.count, 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void a_confirmed_key_is_for_sending_before_it_is_rotated(void **state)
{
	(void)state;
	struct keypair *a = install(true);
	struct keypair *b = install(false);

	assert_ptr_equal(keypairs_for_sending(&keypairs), a);
	assert_true(keypair_confirm(b));
	assert_ptr_equal(keypairs_for_sending(&keypairs), b);
	assert_true(keypairs_rotate(&keypairs, &table));
	assert_ptr_equal(keypairs_for_sending(&keypairs), b);
	/* Of the next one nothing has been heard. */
	install(false);
	assert_ptr_equal(keypairs_for_sending(&keypairs), b);
	keypairs_clear(&keypairs, &table);
	assert_null(keypairs_for_sending(&keypairs));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_confirmed_key_is_for_sending_before_it_is_rotated),
		test(an_initiators_session_is_for_sending_at_once),
		test(a_responders_session_waits_for_the_first_packet),
		test(a_newer_handshake_replaces_the_one_that_was_not_confirmed),
		test(where_both_began_at_once_the_others_session_is_still_received),
		test(what_falls_out_is_kept_while_a_worker_may_hold_it),
		test(counters_are_given_out_once_and_end),
		test(a_key_ends_with_its_time),
		test(the_initiator_asks_once_for_a_new_key_after_120_s_of_sending),
		test(the_initiator_asks_for_a_new_key_when_it_only_receives),
		test(indices_are_found_until_they_are_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
