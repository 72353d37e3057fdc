/*
 * Thousands of clients in one process, that a server was lost to: WireGuard clients answer its
 * handshakes and then ping the gateway through the tunnel, IPIP clients ping from the beginning.
 * Prints "name<TAB>value<TAB>unit" lines: when how many had an answer, in ms of CLOCK_MONOTONIC.
 * With --keys it prints the WireGuard clients' public keys instead. What bench/reboot.py runs.
 *
 * Client i of n has the address FIRST_WIREGUARD + i or FIRST_IPIP + i, all of which must be local
 * here, and the inner address FIRST_INNER + i, or FIRST_INNER + INNER_IPIP + i.
 */
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/icmp.h>

#include "base/checksum.h"
#include "base/ipv4.h"
#include "base/key.h"
#include "device/wireguard/cookie.h"
#include "device/wireguard/noise.h"

enum {
	PORT = 51820,
	FIRST_WIREGUARD = 10 << 24 | 64 << 16,
	FIRST_IPIP = 10 << 24 | 96 << 16,
	GATEWAY = 10 << 24 | 100 << 16 | 1,
	FIRST_INNER = GATEWAY + 1,
	INNER_IPIP = 1 << 15,
	BUFFER = 64 << 20,
	DATAGRAM = 2048,
	/* Echoes of IPIP clients that have had no answer: the turns, and how many in each. */
	TURN_MS = 20,
	PER_TURN = 400,
	RECENT_SHARE = 10, /* one in so many was active last */
};

struct client {
	struct noise noise; /* what is common to all, and its own key */
	struct noise_remote server;
	struct aead_key send, receive;
	uint32_t remote_index;
	bool has_session;
	double answered_ms; /* 0: not yet */
};

struct clients {
	struct ipv4 server;
	unsigned int n;
	struct client *wireguard;
	double *ipip_answered_ms;
	unsigned int n_sessions, n_wireguard, n_ipip, next_ipip;
	struct noise noise;
	struct cookie_keys to_server;
	int udp, raw;
	double first_ms;
};

/* An echo, as it is in a tunnel, padded for WireGuard. */
struct echo {
	struct iphdr ip;
	struct icmphdr icmp;
	uint32_t client;
	uint8_t padding[16];
};

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static struct key private_key(unsigned int i)
{
	struct key key = {"a client of the bench"};

	memcpy(key.bytes + KEY_SIZE - sizeof i, &i, sizeof i);
	return key;
}

static int init_client(struct clients *clients, unsigned int i, const struct key *server)
{
	struct client *client = &clients->wireguard[i];
	struct key key = private_key(i);

	client->noise = clients->noise;
	client->noise.private_key = curve_key_new(&key, &client->noise.public_key);
	client->server.public_key = *server;
	return client->noise.private_key ? noise_agree_statics(&client->noise, &client->server)
					 : -EIO;
}

static struct echo make_echo(uint32_t from, uint32_t client)
{
	struct echo echo = {
		.ip = {.version = 4,
			.ihl = 5,
			.tot_len = htons(offsetof(struct echo, padding)),
			.ttl = 64,
			.protocol = IPPROTO_ICMP,
			.saddr = htonl(from),
			.daddr = htonl(GATEWAY)},
		.icmp = {.type = ICMP_ECHO},
		.client = client,
	};

	echo.ip.check = checksum_field(&echo.ip, sizeof echo.ip);
	echo.icmp.checksum = checksum_field(&echo.icmp, sizeof echo.icmp + sizeof echo.client);
	return echo;
}

/* --- IPIP --- */

static void send_ipip(struct clients *clients, unsigned int i)
{
	struct {
		struct iphdr outer;
		struct echo echo;
	} packet = {
		.outer = {.version = 4,
			.ihl = 5,
			.ttl = 64,
			.protocol = IPPROTO_IPIP,
			.saddr = htonl(FIRST_IPIP + i),
			.daddr = ipv4_to_net(clients->server)},
		.echo = make_echo(FIRST_INNER + INNER_IPIP + i, i),
	};
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_addr.s_addr = ipv4_to_net(clients->server)};

	sendto(clients->raw, &packet, sizeof packet - sizeof packet.echo.padding, MSG_DONTWAIT,
		(struct sockaddr *)&to, sizeof to);
}

/* The next ones that have had no answer, those active last first. */
static void send_turn(struct clients *clients)
{
	for (unsigned int looked = 0, sent = 0; looked < clients->n && sent < PER_TURN; looked++) {
		unsigned int i = clients->next_ipip++ % clients->n;

		if (clients->ipip_answered_ms[i] == 0) {
			send_ipip(clients, i);
			sent++;
		}
	}
}

static const struct echo *find_answer(const uint8_t *packet, size_t length, unsigned int n)
{
	const struct echo *echo = (const void *)packet;

	return length >= offsetof(struct echo, padding) && echo->ip.protocol == IPPROTO_ICMP &&
			       echo->icmp.type == ICMP_ECHOREPLY && echo->client < n
		       ? echo
		       : NULL;
}

static void receive_ipip(struct clients *clients)
{
	uint8_t packet[DATAGRAM];
	ssize_t length;

	while ((length = recv(clients->raw, packet, sizeof packet, MSG_DONTWAIT)) > 0) {
		const struct echo *echo =
			(size_t)length > sizeof(struct iphdr)
				? find_answer(packet + sizeof(struct iphdr),
					  (size_t)length - sizeof(struct iphdr), clients->n)
				: NULL;

		if (!echo || clients->ipip_answered_ms[echo->client] != 0)
			continue;
		clients->ipip_answered_ms[echo->client] = now_ms();
		clients->n_ipip++;
	}
}

/* --- WireGuard --- */

struct datagram {
	uint8_t bytes[DATAGRAM];
	size_t length;
	struct sockaddr_in from;
	struct in_addr to;
};

static void send_from(
	struct clients *clients, const struct datagram *to, const void *bytes, size_t length)
{
	char control[CMSG_SPACE(sizeof(struct in_pktinfo))] = {0};
	struct iovec part = {(void *)(uintptr_t)bytes, length};
	struct msghdr message = {.msg_name = (void *)(uintptr_t)&to->from,
		.msg_namelen = sizeof to->from,
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	struct in_pktinfo info = {.ipi_spec_dst = to->to};

	header->cmsg_level = IPPROTO_IP;
	header->cmsg_type = IP_PKTINFO;
	header->cmsg_len = CMSG_LEN(sizeof info);
	memcpy(CMSG_DATA(header), &info, sizeof info);
	sendmsg(clients->udp, &message, 0);
}

static bool receive_datagram(struct clients *clients, struct datagram *datagram)
{
	char control[CMSG_SPACE(sizeof(struct in_pktinfo))];
	struct iovec part = {datagram->bytes, sizeof datagram->bytes};
	struct msghdr message = {.msg_name = &datagram->from,
		.msg_namelen = sizeof datagram->from,
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control};
	ssize_t length = recvmsg(clients->udp, &message, MSG_DONTWAIT);
	struct in_pktinfo info = {0};

	if (length < 0)
		return false;
	if (CMSG_FIRSTHDR(&message))
		memcpy(&info, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof info);
	datagram->to = info.ipi_addr;
	datagram->length = (size_t)length;
	return true;
}

static void respond(struct clients *clients, const struct datagram *datagram, unsigned int i)
{
	const struct message_initiation *initiation = (const void *)datagram->bytes;
	struct client *client = &clients->wireguard[i];
	struct handshake handshake = {0};
	uint8_t timestamp[TIMESTAMP_SIZE];
	struct message_response response;
	struct cookie_jar jar = {0};

	if (noise_open_initiation(&client->noise, initiation, &handshake) != 0 ||
		noise_prove_initiation(
			&client->noise, &client->server, initiation, &handshake, timestamp) != 0 ||
		noise_create_response(&client->noise, &client->server, i, &handshake, &response) !=
			0)
		goto out;
	client->remote_index = handshake.remote_index;
	if (noise_derive(&client->noise, &handshake, false, &client->send, &client->receive) != 0 ||
		cookie_add_macs(&jar, &clients->to_server, clients->noise.blake2s,
			(uint8_t *)&response, sizeof response, (uint64_t)now_ms()) != 0)
		goto out;
	clients->n_sessions += !client->has_session;
	client->has_session = true;
	if (clients->first_ms == 0)
		clients->first_ms = now_ms();
	send_from(clients, datagram, &response, sizeof response);
out:
	handshake_wipe(&handshake);
}

static void ping(struct clients *clients, const struct datagram *datagram, unsigned int i)
{
	struct client *client = &clients->wireguard[i];
	struct {
		struct message_transport header;
		uint8_t sealed[sizeof(struct echo) + AEAD_TAG_SIZE];
	} message = {
		.header = {.type = MESSAGE_TRANSPORT, .receiver = le32_make(client->remote_index)}};
	const struct echo echo = make_echo(FIRST_INNER + i, i);
	const size_t length = sizeof echo & ~(size_t)(TRANSPORT_PADDING - 1);

	if (aead_seal(clients->noise.aead, &client->send, 0, NULL, 0, (const uint8_t *)&echo,
		    length, message.sealed) == 0)
		send_from(clients, datagram, &message,
			sizeof message.header + length + AEAD_TAG_SIZE);
}

static void take_transport(struct clients *clients, const struct datagram *datagram)
{
	const struct message_transport *header = (const void *)datagram->bytes;
	uint32_t i = le32_get(header->receiver);
	uint8_t plain[DATAGRAM];
	struct client *client = &clients->wireguard[i < clients->n ? i : 0];

	if (i >= clients->n || client->answered_ms != 0 ||
		aead_open(clients->noise.aead, &client->receive, le64_get(header->counter), NULL, 0,
			datagram->bytes + sizeof *header, datagram->length - sizeof *header,
			plain) != 0)
		return;
	if (datagram->length == TRANSPORT_MIN_SIZE) {
		ping(clients, datagram, i);
		return;
	}
	if (find_answer(plain, datagram->length - TRANSPORT_MIN_SIZE, clients->n)) {
		client->answered_ms = now_ms();
		clients->n_wireguard++;
	}
}

static void receive_udp(struct clients *clients)
{
	struct datagram datagram;

	while (receive_datagram(clients, &datagram)) {
		uint32_t i = ntohl(datagram.to.s_addr) - FIRST_WIREGUARD;

		switch (messages_type(datagram.bytes, datagram.length)) {
		case MESSAGE_INITIATION:
			if (i < clients->n)
				respond(clients, &datagram, i);
			break;
		case MESSAGE_TRANSPORT:
			take_transport(clients, &datagram);
			break;
		}
	}
}

/* --- All together --- */

static int open_sockets(struct clients *clients)
{
	const int on = 1, buffer = BUFFER;
	const struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(PORT)};

	clients->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	clients->raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_IPIP);
	setsockopt(clients->udp, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
	setsockopt(clients->raw, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
	setsockopt(clients->udp, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer);
	setsockopt(clients->raw, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer);
	if (setsockopt(clients->udp, IPPROTO_IP, IP_PKTINFO, &on, sizeof on) < 0 ||
		setsockopt(clients->raw, IPPROTO_IP, IP_HDRINCL, &on, sizeof on) < 0 ||
		bind(clients->udp, (const struct sockaddr *)&any, sizeof any) < 0)
		return -errno;
	return 0;
}

static void run(struct clients *clients, double end_ms)
{
	struct pollfd polled[] = {
		{.fd = clients->udp, .events = POLLIN}, {.fd = clients->raw, .events = POLLIN}};
	double next_turn_ms = 0;

	while (now_ms() < end_ms &&
		(clients->n_wireguard < clients->n || clients->n_ipip < clients->n)) {
		poll(polled, 2, TURN_MS);
		receive_udp(clients);
		receive_ipip(clients);
		if (clients->first_ms == 0 || now_ms() < next_turn_ms)
			continue;
		send_turn(clients);
		next_turn_ms = now_ms() + TURN_MS;
	}
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* -1: not all have had one. */
static void print_last(const char *name, const double *answered_ms, unsigned int n)
{
	double last_ms = 0;

	for (unsigned int i = 0; i < n; i++) {
		if (answered_ms[i] == 0)
			last_ms = -1;
		else if (last_ms >= 0 && answered_ms[i] > last_ms)
			last_ms = answered_ms[i];
	}
	printf("%s\t%.1f\tms\n", name, last_ms);
}

static void print_half(const char *name, double *answered_ms, unsigned int n)
{
	qsort(answered_ms, n, sizeof *answered_ms, compare);
	printf("%s\t%.1f\tms\n", name, answered_ms[n / 2]);
}

static void print(struct clients *clients)
{
	unsigned int recent = clients->n / RECENT_SHARE;
	double *wireguard_ms = calloc(clients->n, sizeof *wireguard_ms);

	for (unsigned int i = 0; wireguard_ms && i < clients->n; i++)
		wireguard_ms[i] = clients->wireguard[i].answered_ms;
	if (!wireguard_ms)
		return;
	printf("first handshake\t%.1f\tms\n", clients->first_ms);
	print_last("recent wireguard", wireguard_ms, recent);
	print_last("recent ipip", clients->ipip_answered_ms, recent);
	print_last("all wireguard", wireguard_ms, clients->n);
	print_last("all ipip", clients->ipip_answered_ms, clients->n);
	print_half("half wireguard", wireguard_ms, clients->n);
	print_half("half ipip", clients->ipip_answered_ms, clients->n);
	printf("wireguard\t%u\tclients\nipip\t%u\tclients\n", clients->n_wireguard,
		clients->n_ipip);
	free(wireguard_ms);
}

static int print_keys(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct key key = private_key(i), public_key;

		if (key_derive_public(&key, &public_key) < 0)
			return EXIT_FAILURE;
		puts(key_text(&public_key).s);
	}
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"keys", no_argument, NULL, 'k'},
		{"count", required_argument, NULL, 'c'}, {"server", required_argument, NULL, 's'},
		{"server-key", required_argument, NULL, 'p'},
		{"seconds", required_argument, NULL, 't'}, {0}};
	struct clients clients = {.n = 1000};
	struct key server = {{0}};
	unsigned int seconds = 30;
	bool keys = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'k')
			keys = true;
		else if (option == 'c')
			clients.n = (unsigned int)atoi(optarg);
		else if (option == 't')
			seconds = (unsigned int)atoi(optarg);
		else if ((option == 's' ? ipv4_parse(optarg, &clients.server)
					: key_parse(optarg, strlen(optarg), &server)) < 0)
			return EXIT_FAILURE;
	}
	if (keys)
		return print_keys(clients.n);
	clients.wireguard = calloc(clients.n, sizeof *clients.wireguard);
	clients.ipip_answered_ms = calloc(clients.n, sizeof *clients.ipip_answered_ms);
	if (!clients.wireguard || !clients.ipip_answered_ms ||
		noise_init(&clients.noise, noise_random) < 0 ||
		cookie_keys_init(&clients.to_server, clients.noise.blake2s, &server) < 0)
		return EXIT_FAILURE;
	for (unsigned int i = 0; i < clients.n; i++)
		if (init_client(&clients, i, &server) < 0)
			return EXIT_FAILURE;
	if (open_sockets(&clients) < 0) {
		perror("cannot open the sockets");
		return EXIT_FAILURE;
	}
	puts("ready");
	fflush(stdout);
	run(&clients, now_ms() + seconds * 1e3);
	print(&clients);
	return EXIT_SUCCESS;
}
