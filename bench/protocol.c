/*
 * What the parts of the embedded device cost by themselves, in CPU time of one core: handshakes,
 * lookups, an idle peer's memory; sealing.c is for sealing. One line each:
 * name<TAB>value<TAB>unit.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <arpa/inet.h>

#include "device/wireguard/allowedips.h"
#include "device/wireguard/allowedips_lookup.h"
#include "device/control.h"

enum {
	ROUNDS = 25, /* of each measurement; the best counts, for the machine is shared */
	PEERS = 100000,
};

static double cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void print(const char *name, double value, const char *unit)
{
	printf("%s\t%.4g\t%s\n", name, value, unit);
}

typedef void measured_fn(void *context);

/* The best time of one call, in seconds. */
static double measure(measured_fn *function, void *context)
{
	double best = 1e9;

	for (int i = 0; i < ROUNDS; i++) {
		double began = cpu_seconds(), took;

		function(context);
		took = cpu_seconds() - began;
		best = took < best ? took : best;
	}
	return best;
}

/* --- The replay window, timers --- */

struct small {
	struct replay replay;
	struct timers timers;
	uint64_t counter;
};

enum { SMALL_CALLS = 100000 };

static void accept_counters(void *context)
{
	struct small *small = context;

	for (int i = 0; i < SMALL_CALLS; i++)
		if (!replay_accept(&small->replay, small->counter++))
			abort();
}

static void note_both_ways(void *context)
{
	struct small *small = context;

	for (int i = 0; i < SMALL_CALLS; i++) {
		timers_record_sent(&small->timers, true, 1000);
		timers_record_received(&small->timers, true, 1000);
	}
}

static void bench_small(void)
{
	struct small *small = calloc(1, sizeof(*small));

	print("replay window, a packet", measure(accept_counters, small) / SMALL_CALLS * 1e9, "ns");
	print("timers, a batch each way", measure(note_both_ways, small) / SMALL_CALLS * 1e9, "ns");
	free(small);
}

/* --- Allowed IPs --- */

struct lookups {
	struct allowedips table;
	struct in_addr asked[4096];
	size_t n_found;
};

enum { LOOKUPS = 100000 };

static void look_up(void *context)
{
	struct lookups *lookups = context;

	for (size_t i = 0; i < LOOKUPS; i++)
		lookups->n_found +=
			allowedips_lookup4(&lookups->table, &lookups->asked[i % 4096]) != NULL;
}

static void bench_lookups(uint32_t n, bool scattered)
{
	struct lookups *lookups = calloc(1, sizeof(*lookups));
	struct allowedips_owner owner = {0};
	struct epoch epoch;
	uint32_t *addresses = malloc(n * sizeof(*addresses));
	char name[64];

	epoch_init(&epoch, 0);
	allowedips_init(&lookups->table, &epoch);
	srandom(1);
	for (uint32_t i = 0; i < n; i++) {
		addresses[i] = htonl(scattered ? (uint32_t)random() * 2 : 0x0a000000 + i);
		allowedips_insert(&lookups->table, AF_INET, &addresses[i], 32, &owner);
		epoch_reclaim(&epoch);
	}
	for (size_t i = 0; i < 4096; i++)
		lookups->asked[i].s_addr = addresses[(uint32_t)random() % n];
	snprintf(name, sizeof name, "lookup among %u %s", n, scattered ? "scattered" : "in a row");
	print(name, measure(look_up, lookups) / LOOKUPS * 1e9, "ns");
	allowedips_remove_all(&lookups->table, &owner);
	epoch_free(&epoch);
	free(addresses);
	free(lookups);
}

/* --- Handshakes --- */

struct handshakes {
	struct noise initiator, responder;
	struct noise_remote of_initiator, of_responder;
	struct handshake i, r;
	struct message_initiation initiation;
	struct message_response response;
	struct cookie_keys keys;
	struct cookie_jar jar;
};

enum { HANDSHAKES = 20 };
static const uint8_t some_time[TIMESTAMP_SIZE];

static void make_initiations(void *context)
{
	struct handshakes *h = context;

	for (int n = 0; n < HANDSHAKES; n++) {
		noise_create_initiation(
			&h->initiator, &h->of_responder, 1, some_time, &h->i, &h->initiation);
		cookie_add_macs(&h->jar, &h->keys, h->initiator.blake2s, (uint8_t *)&h->initiation,
			sizeof h->initiation, 1);
	}
}

static void answer_initiations(void *context)
{
	struct handshakes *h = context;
	uint8_t timestamp[TIMESTAMP_SIZE];
	struct aead_key send, receive;

	for (int n = 0; n < HANDSHAKES; n++) {
		if (!cookie_check_mac1(&h->keys, h->responder.blake2s, (uint8_t *)&h->initiation,
			    sizeof h->initiation) ||
			noise_open_initiation(&h->responder, &h->initiation, &h->r) ||
			noise_prove_initiation(&h->responder, &h->of_initiator, &h->initiation,
				&h->r, timestamp) ||
			noise_create_response(
				&h->responder, &h->of_initiator, 2, &h->r, &h->response))
			abort();
		cookie_add_macs(&h->jar, &h->keys, h->responder.blake2s, (uint8_t *)&h->response,
			sizeof h->response, 1);
		noise_derive(&h->responder, &h->r, false, &send, &receive);
	}
}

static void drop_forgeries(void *context)
{
	struct handshakes *h = context;
	struct message_initiation forged = h->initiation;

	forged.macs.mac1[0] ^= 1;
	for (int n = 0; n < HANDSHAKES; n++)
		if (cookie_check_mac1(
			    &h->keys, h->responder.blake2s, (uint8_t *)&forged, sizeof forged))
			abort();
}

static void bench_handshakes(void)
{
	struct handshakes *h = calloc(1, sizeof(*h));
	struct key key;
	double initiation;

	noise_init(&h->initiator, noise_random);
	noise_init(&h->responder, noise_random);
	key_generate_private(&key);
	noise_set_private_key(&h->initiator, &key);
	key_generate_private(&key);
	noise_set_private_key(&h->responder, &key);
	h->of_responder.public_key = h->responder.public_key;
	h->of_initiator.public_key = h->initiator.public_key;
	noise_agree_statics(&h->initiator, &h->of_responder);
	noise_agree_statics(&h->responder, &h->of_initiator);
	cookie_keys_init(&h->keys, h->initiator.blake2s, &h->responder.public_key);
	initiation = measure(make_initiations, h);
	print("initiations made", HANDSHAKES / initiation, "1/s");
	print("initiations answered", HANDSHAKES / measure(answer_initiations, h), "1/s");
	print("forged initiations dropped", HANDSHAKES / measure(drop_forgeries, h), "1/s");
	handshake_wipe(&h->i);
	noise_free(&h->initiator);
	noise_free(&h->responder);
	free(h);
}

/* --- Memory --- */

static void nothing_to_send(
	void *context, struct wg_peer *peer, const void *datagram, size_t length)
{
	(void)context;
	(void)peer;
	(void)datagram;
	(void)length;
}

static void release(void *context, struct wg_peer *peer)
{
	(void)context;
	(void)peer;
}

static uint64_t wall_ns(void)
{
	return 1;
}

static void bench_memory(void)
{
	static const struct wireguard_ops ops = {.send = nothing_to_send, .release = release};
	struct wireguard *wg = calloc(1, sizeof(*wg));
	struct wg_peer **peers = malloc(PEERS * sizeof(*peers));
	struct allowedips table;
	struct epoch epoch;
	size_t before;

	epoch_init(&epoch, 0);
	control_init(wg, &epoch, &ops, NULL, &system_clock, wall_ns, noise_random);
	allowedips_init(&table, &epoch);
	before = mallinfo2().uordblks;
	for (uint32_t i = 0; i < PEERS; i++) {
		struct key key;
		uint32_t address = htonl(0x0a000000 + i);

		noise_random(key.bytes, sizeof key.bytes);
		peers[i] = calloc(1, sizeof(**peers));
		control_add_peer(wg, peers[i], &key);
		allowedips_insert(&table, AF_INET, &address, 32, &peers[i]->target.inner);
		epoch_reclaim(&epoch);
	}
	print("idle peer with one /32", (double)(mallinfo2().uordblks - before) / PEERS, "bytes");
	print("of these, struct wg_peer", sizeof(struct wg_peer), "bytes");
	print("session of a peer in use", sizeof(struct session), "bytes");
	print("keypair", sizeof(struct keypair), "bytes");
	for (uint32_t i = 0; i < PEERS; i++) {
		allowedips_remove_all(&table, &peers[i]->target.inner);
		control_remove_peer(wg, peers[i]);
		epoch_reclaim(&epoch);
		free(peers[i]);
	}
	control_free(wg);
	epoch_free(&epoch);
	free(wg);
	free(peers);
}

int main(void)
{
	bench_small();
	bench_lookups(10, true);
	bench_lookups(1000, false);
	bench_lookups(PEERS, false);
	bench_lookups(PEERS, true);
	bench_handshakes();
	bench_memory();
	return 0;
}
