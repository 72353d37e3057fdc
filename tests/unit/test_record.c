/* Records of a fleet: what is in them, and what cannot be. */
#include "store/record.h"

#include "test.h"

#include <errno.h>
#include <string.h>

static const struct ipv4 bind_address = {0xcb007107}, inner = {0x0a640002}, other = {0x0a640003};

static int set_up(void **state)
{
	static struct record_maker maker = {.fleet = "lab"};
	const struct fleet_keys keys = {.n = 1, .keys = {{{1, 2, 3}}}};
	const uint8_t salt[SEAL_SALT_SIZE] = {4, 5, 6};

	*state = &maker;
	return sealer_new(&keys, salt, &maker.sealer);
}

static int tear_down(void **state)
{
	sealer_free(((struct record_maker *)*state)->sealer);
	return 0;
}

static struct storing_message peer(void)
{
	return (struct storing_message){
		.version = STORING_VERSION,
		.operation = STORING_PEER,
		.peer = {.bind = bind_address,
			.inner = inner,
			.kind = STORED_WIREGUARD,
			.key = {{7}},
			.outer = {0xc6336409},
			.outer_port = 4711,
			.made_s = 1700000000,
			.active_s = 1700000001,
			.name = {"token:somebody"}},
	};
}

static struct stored_endpoint endpoint(void)
{
	return (struct stored_endpoint){.bind = bind_address,
		.network = {0x0a640000},
		.length = 20,
		.index = 3,
		.port = 50230,
		.private_key = {{9}},
		.epoch = 5,
		.floor_s = 1700000060};
}

static int open_peer(struct record_maker *maker, const char *name, const struct record *record,
	struct storing_message *message)
{
	uint64_t place, epoch;

	return record_open_peer(
		maker, bind_address, name, record->value, record->size, message, &place, &epoch);
}

/* What a release that knew names of 63 bytes at most has written and opens: no more, no less. */
static void a_short_name_makes_a_record_as_earlier_releases_have_it(void **state)
{
	enum { EARLIER = 4 + 4 + KEY_SIZE + 4 + 4 + 8 + 8 + 64 };
	struct storing_message message = peer(), opened;
	struct record record;

	for (size_t n = 1; n < CLIENT_NAME_SIZE - sizeof "token:"; n++) {
		char text[CLIENT_NAME_SIZE] = {0};

		memset(text, 'x', n);
		assert_int_equal(client_name_make(CLIENT_NAME_TOKEN, text, &message.peer.name), 0);
		assert_int_equal(record_of_peer(*state, &message, 0, 5, &record), 0);
		assert_true((record.size == EARLIER + SEAL_OVERHEAD) ==
			    (strlen(message.peer.name.s) < 64));
		assert_int_equal(open_peer(*state, record.name.s, &record, &opened), 0);
		assert_string_equal(opened.peer.name.s, message.peer.name.s);
	}
}

static void names_tell_addresses_alone(void **state)
{
	struct record record;
	struct storing_message message = peer();

	assert_int_equal(record_of_peer(*state, &message, 0, 5, &record), 0);
	assert_string_equal(record.name.s, "/vprox/lab/peer/203.0.113.7/10.100.0.2");
	assert_int_equal(record_address(record.name.s).value, inner.value);
	assert_int_equal(record_address("/vprox/lab/peer/x").value, 0);
	assert_int_equal(record_address("none").value, 0);
	assert_int_equal(record_address("/vprox/lab/peer/10.100.0.256").value, 0);
}

static void a_peer_is_what_it_was(void **state)
{
	struct storing_message message = peer(), opened;
	struct record record;

	assert_int_equal(record_of_peer(*state, &message, 0, 5, &record), 0);
	assert_int_equal(open_peer(*state, record.name.s, &record, &opened), 0);
	assert_memory_equal(&message, &opened, sizeof message);
}

static void a_freed_address_has_its_place_and_nobody_in_it(void **state)
{
	struct storing_message message = peer(), opened;
	struct record record;
	uint64_t place, epoch;

	message.operation = STORING_FREED;
	message.peer = (struct stored_peer){.bind = bind_address, .inner = inner};
	assert_int_equal(record_of_peer(*state, &message, 77, 5, &record), 0);
	assert_int_equal(record_open_peer(*state, bind_address, record.name.s, record.value,
				 record.size, &opened, &place, &epoch),
		0);
	assert_int_equal(opened.operation, STORING_FREED);
	assert_int_equal(place, 77);
	assert_int_equal(epoch, 5);
	assert_true(key_is_zero(&opened.peer.key));
}

static void a_record_is_none_under_another_name(void **state)
{
	struct storing_message message = peer(), opened;
	struct record record;
	struct record_name name = record_prefix("lab", RECORD_PEER, bind_address);

	strcat(name.s, ipv4_text(other).s);
	assert_int_equal(record_of_peer(*state, &message, 0, 5, &record), 0);
	assert_int_equal(open_peer(*state, name.s, &record, &opened), -EBADMSG);
}

static void no_byte_of_a_record_can_be_changed_and_none_be_missing(void **state)
{
	struct storing_message message = peer(), opened;
	struct record record, changed;

	assert_int_equal(record_of_peer(*state, &message, 0, 5, &record), 0);
	for (size_t i = 0; i < record.size; i++) {
		changed = record;
		changed.value[i] ^= 0x10;
		/* The id of the key is that of none. */
		assert_true(open_peer(*state, record.name.s, &changed, &opened) < 0);
		changed = record;
		changed.size = i;
		assert_int_equal(open_peer(*state, record.name.s, &changed, &opened), -EBADMSG);
	}
}

/* By a host that has the key, and is broken. */
static void what_cannot_be_is_no_record_even_if_it_opens(void **state)
{
	struct storing_message message = peer(), opened;
	struct stored_endpoint stored = endpoint(), found;
	struct record record;

	message.peer.kind = STORED_KIND_END;
	assert_int_equal(record_of_peer(*state, &message, 0, 5, &record), 0);
	assert_int_equal(open_peer(*state, record.name.s, &record, &opened), -EBADMSG);
	message = peer();
	message.peer.outer_port = 65536;
	assert_int_equal(record_of_peer(*state, &message, 0, 5, &record), 0);
	assert_int_equal(open_peer(*state, record.name.s, &record, &opened), -EBADMSG);
	message = peer();
	memset(&message.peer.name, 'n', sizeof message.peer.name);
	assert_int_equal(record_of_peer(*state, &message, 0, 5, &record), 0);
	assert_int_equal(open_peer(*state, record.name.s, &record, &opened), -EBADMSG);
	stored.length = 33;
	assert_int_equal(record_of_endpoint(*state, &stored, &record), 0);
	assert_int_equal(
		record_open_endpoint(*state, record.name.s, record.value, record.size, &found),
		-EBADMSG);
}

static void an_endpoint_and_its_number_are_what_they_were(void **state)
{
	const struct stored_endpoint stored = endpoint();
	struct stored_endpoint found;
	struct record record;
	struct ipv4 whose;

	assert_int_equal(record_of_endpoint(*state, &stored, &record), 0);
	assert_int_equal(
		record_open_endpoint(*state, record.name.s, record.value, record.size, &found), 0);
	assert_memory_equal(&stored, &found, sizeof stored);
	assert_int_equal(record_of_number(*state, &stored, &record), 0);
	assert_string_equal(record.name.s, "/vprox/lab/number/3");
	assert_int_equal(
		record_open_number(*state, record.name.s, record.value, record.size, &whose), 0);
	assert_int_equal(whose.value, bind_address.value);
}

static void a_holders_name_ends_whatever_was_sealed(void **state)
{
	struct fleet_holder holder = {.epoch = 8, .floor = 7}, found;
	struct record record;

	memset(holder.host, 'h', sizeof holder.host);
	assert_int_equal(record_of_holder(*state, bind_address, &holder, &record), 0);
	assert_int_equal(
		record_open_holder(*state, record.name.s, record.value, record.size, &found), 0);
	assert_int_equal(found.epoch, 8);
	assert_int_equal(found.floor, 7);
	assert_int_equal(strlen(found.host), HOLDER_HOST_SIZE - 1);
}

static void activity_is_of_256_addresses(void **state)
{
	uint32_t active_s[RECORD_GROUP], found[RECORD_GROUP];
	struct record record;
	uint64_t epoch;

	for (uint32_t i = 0; i < RECORD_GROUP; i++)
		active_s[i] = i * 16777259;
	assert_int_equal(record_of_active(*state, bind_address, (struct ipv4){0x0a640000}, active_s,
				 5, &record),
		0);
	assert_int_equal(
		record_open_active(*state, record.name.s, record.value, record.size, found, &epoch),
		0);
	assert_memory_equal(active_s, found, sizeof active_s);
	assert_int_equal(epoch, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_tell_addresses_alone),
		cmocka_unit_test(a_short_name_makes_a_record_as_earlier_releases_have_it),
		cmocka_unit_test(a_peer_is_what_it_was),
		cmocka_unit_test(a_freed_address_has_its_place_and_nobody_in_it),
		cmocka_unit_test(a_record_is_none_under_another_name),
		cmocka_unit_test(no_byte_of_a_record_can_be_changed_and_none_be_missing),
		cmocka_unit_test(what_cannot_be_is_no_record_even_if_it_opens),
		cmocka_unit_test(an_endpoint_and_its_number_are_what_they_were),
		cmocka_unit_test(a_holders_name_ends_whatever_was_sealed),
		cmocka_unit_test(activity_is_of_256_addresses),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
