/*
 * Sends the packets of many IPIP peers to a server in another namespace, or that server's to them,
 * and takes the time. Part of the bench ipip_modes.
 */
#include "ipip_flood.h"

#include <arpa/inet.h>
#include <err.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

enum {
	DATA = 64, /* bytes of each */
};

static const struct ipv4 first_outer = {0xc6120000}; /* 198.18.0.0 */

struct packet {
	struct iphdr outer, inner;
	struct udphdr udp;
	char data[DATA];
} __attribute__((packed));

/* What one call sends. */
struct burst {
	struct packet packets[FLOOD_AT_ONCE];
	struct sockaddr_in to[FLOOD_AT_ONCE];
	struct iovec parts[FLOOD_AT_ONCE];
	struct mmsghdr messages[FLOOD_AT_ONCE];
};

static void shell(const char *command)
{
	if (system(command) != 0)
		errx(1, "%s", command);
}

double flood_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void remove_namespaces(void)
{
	if (system("ip netns delete bench-peers") != 0)
		warnx("bench-peers is still there");
}

void flood_make_namespaces(void)
{
	if (unshare(CLONE_NEWNET) < 0)
		err(1, "unshare");
	shell("ip netns add bench-peers");
	atexit(remove_namespaces);
	shell("ip link set lo up && ip link add v0 type veth peer name v1 netns bench-peers && "
	      "ip address add 203.0.113.1/24 dev v0 && ip link set v0 up && "
	      "ip -n bench-peers address add 203.0.113.2/24 dev v1 && "
	      "ip -n bench-peers link set v1 up && "
	      "ip -n bench-peers route add 192.0.2.0/24 via 203.0.113.1 && "
	      "ip route add default via 203.0.113.2 && ip route add blackhole 192.0.2.0/24 && "
	      "echo 1 >/proc/sys/net/ipv4/ip_forward && "
	      "echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter && "
	      "echo 0 >/proc/sys/net/ipv4/conf/default/rp_filter");
}

struct plane_peer flood_peer(uint32_t i)
{
	return (struct plane_peer){.kind = PEER_IPIP,
		.inner = {flood_block.address.value + 1 + i},
		.remote = {first_outer.value + i}};
}

static uint16_t checksum(const void *data, size_t n)
{
	const uint16_t *words = data;
	uint32_t sum = 0;

	for (size_t i = 0; i < n / 2; i++)
		sum += words[i];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static struct iphdr ip_header(uint8_t protocol, size_t length, uint32_t from, struct ipv4 to)
{
	struct iphdr header = {.ihl = 5,
		.version = 4,
		.tot_len = htons((uint16_t)length),
		.ttl = 64,
		.protocol = protocol,
		.saddr = htonl(from),
		.daddr = htonl(to.value)};

	header.check = checksum(&header, sizeof header);
	return header;
}

static void write_packet(struct packet *packet, const struct flood *flood, uint32_t i)
{
	const struct plane_peer from = flood_peer(i);

	*packet = (struct packet){
		.outer = ip_header(IPPROTO_IPIP, sizeof *packet, from.remote.value + flood->forged,
			flood->outer_to),
		.inner = ip_header(IPPROTO_UDP, sizeof *packet - sizeof packet->outer,
			from.inner.value, flood->inner_to),
		.udp = {.source = htons(5000),
			.dest = htons(9),
			.len = htons(sizeof packet->udp + DATA)},
	};
}

static void fill(struct burst *burst, const struct flood *flood, uint32_t first)
{
	for (uint32_t k = 0; k < FLOOD_AT_ONCE; k++) {
		const uint32_t i = 1 + (first + k) % flood->n_peers;
		const struct ipv4 to = flood->is_out ? flood_peer(i).inner : flood->outer_to;

		write_packet(&burst->packets[k], flood, i);
		burst->to[k] = (struct sockaddr_in){.sin_family = AF_INET,
			.sin_port = htons(9),
			.sin_addr.s_addr = htonl(to.value)};
		burst->parts[k] = (struct iovec){
			&burst->packets[k], flood->is_out ? DATA : sizeof burst->packets[k]};
		burst->messages[k] = (struct mmsghdr){.msg_hdr = {.msg_name = &burst->to[k],
							      .msg_namelen = sizeof burst->to[k],
							      .msg_iov = &burst->parts[k],
							      .msg_iovlen = 1}};
	}
}

/* us a packet; the receiver's work is done in the sender's call. */
static double send_flood(int fd, const struct flood *flood)
{
	static struct burst burst;
	double took = 0, began;

	for (uint32_t sent = 0; sent < flood->n_packets; sent += FLOOD_AT_ONCE) {
		fill(&burst, flood, sent);
		began = flood_now();
		if (sendmmsg(fd, burst.messages, FLOOD_AT_ONCE, 0) != FLOOD_AT_ONCE)
			err(1, "sendmmsg");
		took += flood_now() - began;
	}
	return took * 1e6 / flood->n_packets;
}

static double best_of_rounds(const struct flood *flood)
{
	auto_close int fd = flood->is_out ? socket(AF_INET, SOCK_DGRAM, 0)
					  : socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
	double best = 1e9;

	if (fd < 0)
		err(1, "socket");
	for (int i = 0; i < FLOOD_ROUNDS; i++) {
		double took = send_flood(fd, flood);

		best = took < best ? took : best;
	}
	return best;
}

static int send_in_other_namespace(const struct flood *flood, int result)
{
	auto_fclose FILE *namespace = fopen("/run/netns/bench-peers", "r");
	double best;

	if (!namespace || setns(fileno(namespace), CLONE_NEWNET) < 0)
		err(1, "setns");
	best = best_of_rounds(flood);
	return write(result, &best, sizeof best) == sizeof best ? 0 : 1;
}

double flood_measure(const struct flood *flood)
{
	double best;
	int ends[2];

	if (flood->is_out)
		return best_of_rounds(flood);
	if (pipe(ends) < 0)
		err(1, "pipe");
	if (fork() == 0)
		_exit(send_in_other_namespace(flood, ends[1]));
	close(ends[1]);
	if (read(ends[0], &best, sizeof best) != sizeof best)
		errx(1, "the sender has failed");
	close(ends[0]);
	wait(NULL);
	return best;
}

/* Packets that have left by v0. */
unsigned long flood_count_sent_on(void)
{
	auto_fclose FILE *in = fopen("/proc/self/net/dev", "r");
	unsigned long n = 0;
	char line[512];

	while (in && fgets(line, sizeof line, in))
		if (sscanf(line, " v0: %*u %*u %*u %*u %*u %*u %*u %*u %*u %lu", &n) == 1)
			return n;
	errx(1, "no counters of v0");
}
