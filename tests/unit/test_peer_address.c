/* A peer's outer address, with writers that meet. */
#include "device/wireguard/peer_address.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "test.h"

enum { LEFT_BY_OTHERS = 1000 }; /* turns that a writer is given to show that it does not wait */

static struct udp_endpoint endpoint(uint32_t address, uint32_t local)
{
	struct udp_endpoint endpoint;

	memset(&endpoint, 0, sizeof endpoint);
	endpoint.v4.sin_family = AF_INET;
	endpoint.v4.sin_addr.s_addr = htonl(address);
	endpoint.local4.s_addr = htonl(local);
	return endpoint;
}

static void assert_holds(const struct peer_address *address, struct udp_endpoint expected)
{
	struct udp_endpoint found;

	peer_address_get(address, &found);
	assert_memory_equal(&found, &expected, sizeof found);
}

struct writer {
	struct peer_address *address;
	void (*write)(struct peer_address *address);
	pthread_t thread;
	_Atomic bool begun;
};

static void *run_writer(void *argument)
{
	struct writer *writer = argument;

	atomic_store(&writer->begun, true);
	writer->write(writer->address);
	return NULL;
}

/* Has it begin while somebody else writes, and gives it the time to get as far as it can. */
static void meet(struct writer *writer)
{
	assert_int_equal(pthread_create(&writer->thread, NULL, run_writer, writer), 0);
	while (!atomic_load(&writer->begun))
		sched_yield();
	for (int i = 0; i < LEFT_BY_OTHERS; i++)
		sched_yield();
}

static void configure(struct peer_address *address)
{
	struct udp_endpoint configured = endpoint(2, 0);

	peer_address_set(address, &configured);
}

/* A worker has begun to write where a roaming packet came from. */
static void what_is_configured_while_another_writes_is_not_lost(void **state)
{
	struct peer_address address = {0};
	struct writer writer = {.address = &address, .write = configure};

	(void)state;
	atomic_store(&address.sequence, 1);
	meet(&writer);
	atomic_store(&address.sequence, 2);
	assert_int_equal(pthread_join(writer.thread, NULL), 0);
	assert_holds(&address, endpoint(2, 0));
}

/* A worker finds that the source is of no use, while another address is being configured. */
static void a_forgotten_source_does_not_bring_the_old_address_back(void **state)
{
	struct peer_address address = {0};
	struct udp_endpoint old = endpoint(1, 9), new = endpoint(2, 9);
	struct writer writer = {.address = &address, .write = peer_address_forget_source};

	(void)state;
	peer_address_set(&address, &old);
	atomic_fetch_add(&address.sequence, 1);
	meet(&writer);
	for (int i = 0; i < PEER_ADDRESS_WORDS; i++) {
		uint64_t words[PEER_ADDRESS_WORDS] = {0};

		memcpy(words, &new, sizeof new);
		atomic_store(&address.words[i], words[i]);
	}
	atomic_fetch_add(&address.sequence, 1);
	assert_int_equal(pthread_join(writer.thread, NULL), 0);
	assert_holds(&address, endpoint(2, 0));
}

static void a_new_address_has_not_yet_refused_super_packets(void **state)
{
	struct peer_address address = {0};
	struct udp_endpoint one = endpoint(1, 0), two = endpoint(2, 0);

	(void)state;
	peer_address_set(&address, &one);
	atomic_store(&address.plain_left, 5);
	peer_address_update(&address, &one);
	assert_int_equal(atomic_load(&address.plain_left), 5);
	peer_address_update(&address, &two);
	assert_int_equal(atomic_load(&address.plain_left), 0);
	assert_holds(&address, two);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_configured_while_another_writes_is_not_lost),
		cmocka_unit_test(a_forgotten_source_does_not_bring_the_old_address_back),
		cmocka_unit_test(a_new_address_has_not_yet_refused_super_packets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
