/*
 * ipip_modes [--quick | N...]: what N IPIP peers (1,000 and 10,000) cost on the kernel's plane in
 * each --ipip-mode, in turns: to make, to read, to adopt and to remove, in memory, and a packet of
 * theirs. Needs root, iproute2, and a kernel with WireGuard and IPIP, which tests/guest/run brings.
 * One line each: name<TAB>value<TAB>unit.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "host/firewall.h"
#include "host/host_config.h"
#include "ipip_flood.h"
#include "plane/plane.h"

enum {
	TURNS = 3, /* of each mode; the median counts */
	FORGED = 1 << 20, /* from a peer's outer address to one that is nobody's */
	PORT = 50227,
	PEERS_MAX = 200000, /* what the block holds */
};

enum figure {
	MADE,
	MEMORY,
	WITHOUT,
	IN,
	FORGED_IN,
	IN_FIREWALL,
	OUT,
	READ,
	COUNTED,
	ADOPTED,
	REMOVED,
	N_FIGURES,
};

static const struct {
	const char *name, *unit;
} figures[N_FIGURES] = {
	[MADE] = {"made in", "s"},
	[MEMORY] = {"the kernel's memory a peer", "kB"},
	[WITHOUT] = {"a packet without a tunnel", "us"},
	[IN] = {"a packet from a peer", "us"},
	[FORGED_IN] = {"a forged packet", "us"},
	[IN_FIREWALL] = {"a packet from a peer through the firewall", "us"},
	[OUT] = {"a packet to a peer", "us"},
	[READ] = {"read in", "s"},
	[COUNTED] = {"what was dropped is counted in", "us"},
	[ADOPTED] = {"adopted in", "s"},
	[REMOVED] = {"removed in", "s"},
};

/* What is measured of one mode at a time. */
struct turn {
	uint32_t n_peers, n_packets;
	bool is_shared;
	double values[N_FIGURES];
};

/* In kB: what proc(5) tells of slabs, per-CPU memory and the like. */
static double kernel_memory(void)
{
	static const char *const names[] = {"Slab:", "Percpu:", "VmallocUsed:"};
	auto_fclose FILE *in = fopen("/proc/meminfo", "r");
	char name[64];
	double kb, sum = 0;

	sleep(1); /* what was freed is given back after a grace period */
	while (in && fscanf(in, "%63s %lf kB ", name, &kb) == 2)
		for (size_t i = 0; i < sizeof names / sizeof *names; i++)
			if (strcmp(name, names[i]) == 0)
				sum += kb;
	return sum;
}

static void check(const struct plane *plane, int error)
{
	if (error < 0)
		errx(1, "%s", plane_error(plane));
}

static void measure_packets(struct turn *turn)
{
	struct flood flood = {.n_peers = turn->n_peers,
		.n_packets = turn->n_packets,
		.outer_to = flood_nowhere,
		.inner_to = flood_nowhere};

	turn->values[WITHOUT] = flood_measure(&flood);
	flood.outer_to = flood_bind;
	turn->values[IN] = flood_measure(&flood);
	flood.is_out = true;
	turn->values[OUT] = flood_measure(&flood);
}

static void measure_forged(struct turn *turn)
{
	const struct flood flood = {.n_peers = turn->n_peers,
		.n_packets = turn->n_packets,
		.forged = FORGED,
		.outer_to = flood_bind,
		.inner_to = flood_nowhere};

	turn->values[FORGED_IN] = flood_measure(&flood);
}

/* The server's own, which in one mode looks for each packet's way back, and in the other one for
 * the filters' mark. */
static void measure_firewall(struct turn *turn)
{
	const struct host_endpoint endpoint = {
		.bind = flood_bind, .block = flood_block, .port = PORT};
	const struct host_config config = {.endpoints = &endpoint,
		.n_endpoints = 1,
		.max_endpoints = 1,
		.whole_block = flood_block,
		.block_length = flood_block.length,
		.shares_ipip = turn->is_shared,
		.policy.max_flows_per_peer = 2048,
		.finds_sockets = firewall_can_find_sockets()};
	const struct flood flood = {.n_peers = turn->n_peers,
		.n_packets = turn->n_packets,
		.outer_to = flood_bind,
		.inner_to = flood_elsewhere};
	struct firewall_state state = {0};
	unsigned long before;

	if (firewall_load(&config, &state) < 0)
		errx(1, "the firewall cannot be loaded");
	before = flood_count_sent_on();
	turn->values[IN_FIREWALL] = flood_measure(&flood);
	if (flood_count_sent_on() - before < (FLOOD_ROUNDS - 1) * (unsigned long)turn->n_packets)
		errx(1, "%lu of %u packets came through the firewall",
			flood_count_sent_on() - before, FLOOD_ROUNDS * turn->n_packets);
	firewall_remove();
}

/* Of all peers. */
struct used {
	uint32_t n_received, n_sent; /* peers with such traffic */
	uint64_t received; /* bytes */
};

static int add_usage(void *context, const struct plane_peer *id, const struct plane_usage *usage)
{
	struct used *used = context;

	(void)id;
	used->n_received += usage->received > 0;
	used->n_sent += usage->sent > 0;
	used->received += usage->received;
	return 0;
}

static struct used read_usage(struct plane_device *device)
{
	struct used used = {0};

	check(device->plane, plane_dump(device, add_usage, &used));
	return used;
}

static void measure_reading(struct turn *turn, struct plane_device *device)
{
	struct used before, after;
	double began;

	began = flood_now();
	before = read_usage(device);
	turn->values[READ] = flood_now() - began;
	if (before.n_received != turn->n_peers || before.n_sent != turn->n_peers)
		errx(1, "%u and %u of %u peers have received and sent", before.n_sent,
			before.n_received, turn->n_peers);
	measure_forged(turn);
	after = read_usage(device);
	/* They are as many as the packets before, of which the last may have come late. */
	if (after.received - before.received > before.received / 2)
		errx(1, "forged packets are counted as peers'");
}

/* As the server does it for metrics. */
static void measure_counting(struct turn *turn, struct plane *plane)
{
	const double began = flood_now();
	const uint64_t n = plane->ops->spoofed(plane);

	turn->values[COUNTED] = (flood_now() - began) * 1e6;
	if (turn->is_shared && n < turn->n_packets / 2)
		errx(1, "%ju of %u forged packets are counted", (uintmax_t)n, turn->n_packets);
}

static void add_all(struct plane_device *device, uint32_t n)
{
	struct plane_peer peers[PLANE_ADD_BATCH];
	size_t n_peers = 0;

	for (uint32_t i = 1; i <= n; i++) {
		peers[n_peers++] = flood_peer(i);
		if (n_peers < PLANE_ADD_BATCH && i < n)
			continue;
		check(device->plane, device->plane->ops->add_many(device, peers, n_peers));
		n_peers = 0;
	}
}

static void measure_making(struct turn *turn, struct plane_device *device)
{
	double memory = kernel_memory(), began = flood_now();

	add_all(device, turn->n_peers);
	turn->values[MADE] = flood_now() - began;
	turn->values[MEMORY] = (kernel_memory() - memory) / turn->n_peers;
}

static int count(void *context, const struct plane_found *found)
{
	uint32_t *n = context;

	(void)found;
	++*n;
	return 0;
}

static void measure_adoption(
	struct turn *turn, struct plane *plane, const struct plane_endpoint *endpoint)
{
	struct plane_device *device;
	uint32_t n_found = 0;
	double began = flood_now();

	check(plane, plane->ops->open(plane, endpoint, &device));
	check(plane, plane->ops->find(device, count, &n_found));
	turn->values[ADOPTED] = flood_now() - began;
	if (n_found != turn->n_peers)
		errx(1, "%u of %u peers are found again", n_found, turn->n_peers);
	began = flood_now();
	check(plane, plane->ops->close(device, false));
	turn->values[REMOVED] = flood_now() - began;
}

static void measure_all(struct turn *turn, struct plane *plane)
{
	struct plane_endpoint endpoint = {.bind = flood_bind,
		.gateway = {flood_block.address.value + 1},
		.block = flood_block,
		.port = PORT};
	struct plane_device *device;

	check(plane, key_generate_private(&endpoint.private_key));
	check(plane, plane->ops->probe(plane));
	check(plane, plane->ops->open(plane, &endpoint, &device));
	measure_making(turn, device);
	measure_packets(turn);
	measure_reading(turn, device);
	measure_counting(turn, plane);
	measure_firewall(turn);
	check(plane, plane->ops->close(device, true));
	measure_adoption(turn, plane, &endpoint);
}

static void measure(struct turn *turn)
{
	struct plane *plane = plane_kernel_new();

	if (!plane)
		err(1, "netlink");
	if (turn->is_shared)
		plane_kernel_share_ipip(plane);
	measure_all(turn, plane);
	plane->ops->free(plane);
}

static int compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(const struct turn *turns, size_t n, enum figure figure)
{
	double values[TURNS];

	for (size_t i = 0; i < n; i++)
		values[i] = turns[i].values[figure];
	qsort(values, n, sizeof *values, compare);
	return values[n / 2];
}

static void say(const struct turn *own, const struct turn *shared, size_t n_turns)
{
	for (enum figure i = 0; i < N_FIGURES; i++) {
		const double x = median(own, n_turns, i), y = median(shared, n_turns, i);

		printf("%u peers, interface, %s\t%.4g\t%s\n", own->n_peers, figures[i].name, x,
			figures[i].unit);
		printf("%u peers, shared, %s\t%.4g\t%s\n", own->n_peers, figures[i].name, y,
			figures[i].unit);
		printf("%u peers, shared / interface, %s\t%.2f\tx\n", own->n_peers, figures[i].name,
			y / x);
	}
	fflush(stdout);
}

static void compare_modes(uint32_t n_peers, uint32_t n_packets, size_t n_turns)
{
	const struct turn all = {.n_peers = n_peers,
		/* At least one of each peer. */
		.n_packets = n_packets > n_peers
				     ? n_packets
				     : n_peers + FLOOD_AT_ONCE - n_peers % FLOOD_AT_ONCE};
	struct turn own[TURNS], shared[TURNS];

	for (size_t i = 0; i < n_turns; i++) {
		own[i] = shared[i] = all;
		shared[i].is_shared = true;
		measure(&shared[i]);
		measure(&own[i]);
	}
	say(own, shared, n_turns);
}

static void compare_all(const uint32_t *n_peers, size_t n)
{
	for (size_t i = 0; i < n; i++)
		compare_modes(n_peers[i], 200 * FLOOD_AT_ONCE, TURNS);
}

int main(int argc, char **argv)
{
	const bool is_quick = argc == 2 && strcmp(argv[1], "--quick") == 0;
	uint32_t asked[16] = {1000, 10000};
	size_t n_asked = 0;

	for (int i = 1; i < argc && !is_quick; i++) {
		const unsigned long n = strtoul(argv[i], NULL, 10);

		if (n == 0 || n > PEERS_MAX || n_asked == sizeof asked / sizeof *asked)
			errx(2, "usage: ipip_modes [--quick | N...]");
		asked[n_asked++] = (uint32_t)n;
	}
	flood_make_namespaces();
	if (is_quick)
		compare_modes(20, 2 * FLOOD_AT_ONCE, 1);
	else
		compare_all(asked, n_asked > 0 ? n_asked : 2);
	return 0;
}
