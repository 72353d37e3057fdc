/* What is not in etcd yet. */
#include "store/outbox.h"

#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/database.h"

enum { MOST = 16 };

static const struct ipv4 bind_address = {0xcb007107}, other = {0xcb007108};

struct file {
	char folder[32];
	struct database *database;
	struct outbox *outbox;
};

static int set_up(void **state)
{
	struct file *file = calloc(1, sizeof *file);
	char path[64];

	*state = file;
	strcpy(file->folder, "/tmp/vprox-outbox-XXXXXX");
	if (!mkdtemp(file->folder))
		return -1;
	snprintf(path, sizeof path, "%s/store.db", file->folder);
	if (database_open(path, &file->database) < 0)
		return -1;
	return outbox_open(file->database, &file->outbox);
}

static int tear_down(void **state)
{
	struct file *file = *state;
	char command[64];

	outbox_close(file->outbox);
	database_close(file->database);
	snprintf(command, sizeof command, "rm -r %s", file->folder);
	free(file);
	return system(command);
}

static struct storing_message order(uint32_t operation, uint32_t n)
{
	struct storing_message message = {
		.version = STORING_VERSION,
		.operation = operation,
		.peer = {.bind = bind_address, .inner = {0x0a640000 + n}},
	};

	if (operation != STORING_PUT_PEER)
		return message;
	message.peer.kind = STORED_WIREGUARD;
	message.peer.key.bytes[0] = (uint8_t)(n + 1);
	message.peer.made_s = message.peer.active_s = 1700000000;
	return message;
}

static void never_refused(void *context, const struct storing_message *message)
{
	(void)context;
	(void)message;
	fail();
}

static void write_order(struct file *file, const struct storing_message *message)
{
	assert_int_equal(database_write(file->database, message, 1, never_refused, NULL), 0);
}

static void put_peer(struct file *file, uint32_t n)
{
	const struct storing_message message = order(STORING_PUT_PEER, n);

	write_order(file, &message);
}

static void put_endpoint(struct file *file, struct ipv4 bind, uint32_t index)
{
	const struct stored_endpoint endpoint = {.bind = bind,
		.network = {0x0a640000 + (index << 12)},
		.length = 20,
		.index = index,
		.port = 50227 + index,
		.private_key = {{1}}};

	assert_int_equal(database_put_endpoint(file->database, &endpoint), 0);
}

static int take(struct file *file, struct outbox_entry entries[MOST])
{
	return outbox_take(file->outbox, bind_address, entries, MOST);
}

static void what_has_changed_is_unsent_until_it_was_sent(void **state)
{
	struct outbox_entry entries[MOST];

	put_peer(*state, 2);
	assert_int_equal(take(*state, entries), 1);
	assert_true(entries[0].is_urgent);
	assert_int_equal(entries[0].message.operation, STORING_PEER);
	assert_int_equal(outbox_sent(((struct file *)*state)->outbox, entries, 1), 0);
	assert_int_equal(take(*state, entries), 0);
	/* As it is. */
	put_peer(*state, 2);
	assert_int_equal(take(*state, entries), 0);
}

static void a_peer_that_goes_is_a_freed_address_in_their_order(void **state)
{
	struct outbox_entry entries[MOST];
	uint64_t places[8] = {0};

	put_peer(*state, 2);
	put_peer(*state, 3);
	for (uint32_t n = 3; n >= 2; n--) {
		const struct storing_message message = order(STORING_FREE_ADDRESS, n);

		write_order(*state, &message);
	}
	assert_int_equal(take(*state, entries), 2);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(entries[i].message.operation, STORING_FREED);
		places[entries[i].message.peer.inner.value % 8] = entries[i].place;
	}
	assert_true(places[3] < places[2]);
}

static void who_was_only_active_changes_a_group_alone(void **state)
{
	struct file *file = *state;
	struct storing_message message = order(STORING_PUT_PEER, 2);
	struct outbox_entry entries[MOST];
	uint32_t active_s[OUTBOX_GROUP];
	struct ipv4 first;

	put_peer(file, 2);
	outbox_sent(file->outbox, entries, (size_t)take(file, entries));
	assert_int_equal(outbox_take_active(file->outbox, bind_address, &first, active_s), 0);
	message.peer.active_s += 60;
	write_order(file, &message);
	assert_int_equal(take(file, entries), 0);
	assert_int_equal(outbox_take_active(file->outbox, bind_address, &first, active_s), 1);
	assert_int_equal(first.value, 0x0a640000);
	assert_int_equal(active_s[2], 1700000060);
	assert_int_equal(outbox_sent_active(file->outbox, bind_address, first), 0);
	assert_int_equal(outbox_take_active(file->outbox, bind_address, &first, active_s), 0);
}

static void a_group_has_its_256_addresses_and_none_of_the_next(void **state)
{
	struct file *file = *state;
	struct storing_message message = order(STORING_PUT_PEER, 99);
	const uint32_t inside[] = {9, 10, 99, 100, 255}, outside[] = {256, 256 + 10, 512};
	uint32_t active_s[OUTBOX_GROUP];
	struct ipv4 first;

	for (size_t i = 0; i < sizeof inside / sizeof *inside; i++)
		put_peer(file, inside[i]);
	for (size_t i = 0; i < sizeof outside / sizeof *outside; i++)
		put_peer(file, outside[i]);
	message.peer.active_s += 60;
	write_order(file, &message);
	assert_int_equal(outbox_take_active(file->outbox, bind_address, &first, active_s), 1);
	assert_int_equal(first.value, 0x0a640000);
	for (uint32_t i = 0, next = 0; i < OUTBOX_GROUP; i++) {
		const bool is_inside = i == inside[next];

		assert_int_equal(active_s[i], is_inside ? 1700000000 + (i == 99 ? 60 : 0) : 0);
		next += is_inside && next < sizeof inside / sizeof *inside - 1;
	}
}

/* Else it would stay under the key and the epoch that it was read with. */
static void activity_that_was_read_is_sealed_anew(void **state)
{
	struct file *file = *state;
	uint32_t active_s[OUTBOX_GROUP] = {[2] = 1700000090};
	struct ipv4 first = {0x0a640000};

	put_peer(file, 2);
	assert_int_equal(outbox_set_active(file->outbox, bind_address, first, active_s), 0);
	memset(active_s, 0, sizeof active_s);
	assert_int_equal(outbox_take_active(file->outbox, bind_address, &first, active_s), 1);
	assert_int_equal(active_s[2], 1700000090);
}

static void what_is_only_sealed_anew_comes_last(void **state)
{
	struct file *file = *state;
	struct outbox_entry entries[MOST];

	put_peer(file, 2);
	outbox_sent(file->outbox, entries, (size_t)take(file, entries));
	assert_int_equal(outbox_add_all(file->outbox, bind_address), 0);
	put_peer(file, 3);
	assert_int_equal(take(file, entries), 2);
	assert_int_equal(entries[0].message.peer.inner.value, 0x0a640003);
	assert_true(entries[0].is_urgent && !entries[1].is_urgent);
	assert_int_equal(outbox_calm(file->outbox, bind_address), 0);
	assert_int_equal(take(file, entries), 2);
	assert_false(entries[0].is_urgent);
}

static void etcd_knows_us_by_the_last_value_or_the_one_that_takes_its_place(void **state)
{
	struct outbox *outbox = ((struct file *)*state)->outbox;
	static const uint8_t first[] = "first", second[] = "second", third[] = "third";

	assert_int_equal(outbox_set_holder(outbox, bind_address, first, sizeof first), 0);
	assert_int_equal(outbox_set_next_holder(outbox, bind_address, second, sizeof second), 0);
	assert_true(outbox_knows_holder(outbox, bind_address, first, sizeof first));
	assert_true(outbox_knows_holder(outbox, bind_address, second, sizeof second));
	assert_false(outbox_knows_holder(outbox, bind_address, third, sizeof third));
	assert_false(outbox_knows_holder(outbox, other, first, sizeof first));
	assert_false(outbox_knows_holder(outbox, bind_address, first, sizeof first - 1));
	assert_int_equal(outbox_set_holder(outbox, bind_address, second, sizeof second), 0);
	assert_false(outbox_knows_holder(outbox, bind_address, first, sizeof first));
}

static void collisions_are_listed_until_they_are_given_up(void **state)
{
	struct file *file = *state;
	struct ipv4 at = {0}, whose;

	assert_int_equal(outbox_next_collision(file->outbox, &at, &whose), 0);
	outbox_set_collision(file->outbox, other, bind_address);
	outbox_set_collision(file->outbox, bind_address, other);
	assert_int_equal(outbox_next_collision(file->outbox, &at, &whose), 1);
	assert_int_equal(at.value, bind_address.value);
	assert_int_equal(whose.value, other.value);
	assert_int_equal(outbox_next_collision(file->outbox, &at, &whose), 1);
	assert_int_equal(at.value, other.value);
	assert_int_equal(outbox_next_collision(file->outbox, &at, &whose), 0);
	outbox_clear_collision(file->outbox, other);
	at.value = 0;
	assert_int_equal(outbox_next_collision(file->outbox, &at, &whose), 1);
	assert_int_equal(outbox_next_collision(file->outbox, &at, &whose), 0);
}

static void of_what_is_given_up_nothing_is_left_nor_sent(void **state)
{
	struct file *file = *state;
	struct outbox_entry entries[MOST];
	struct stored_endpoint endpoint;
	struct ipv4 at = {0}, whose;
	const struct storing_message freed = order(STORING_FREE_ADDRESS, 3);

	put_endpoint(file, bind_address, 0);
	put_endpoint(file, other, 1);
	put_peer(file, 2);
	put_peer(file, 3);
	write_order(file, &freed);
	outbox_set_holder(file->outbox, bind_address, (const uint8_t *)"x", 1);
	outbox_set_collision(file->outbox, bind_address, other);
	assert_int_equal(outbox_abandon(file->outbox, bind_address), 0);
	assert_int_equal(take(file, entries), 0);
	assert_false(outbox_find_endpoint(file->outbox, bind_address, &endpoint));
	assert_false(outbox_is_freed(file->outbox, bind_address, freed.peer.inner));
	assert_false(outbox_knows_holder(file->outbox, bind_address, (const uint8_t *)"x", 1));
	assert_int_equal(outbox_next_collision(file->outbox, &at, &whose), 0);
	assert_true(outbox_find_endpoint(file->outbox, other, &endpoint));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			what_has_changed_is_unsent_until_it_was_sent, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_peer_that_goes_is_a_freed_address_in_their_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			who_was_only_active_changes_a_group_alone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_group_has_its_256_addresses_and_none_of_the_next, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			activity_that_was_read_is_sealed_anew, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_is_only_sealed_anew_comes_last, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			etcd_knows_us_by_the_last_value_or_the_one_that_takes_its_place, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			collisions_are_listed_until_they_are_given_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			of_what_is_given_up_nothing_is_left_nor_sent, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
