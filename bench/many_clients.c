/*
 * The clients' end of bench/many_peers.py, in one process and one thread: many WireGuard clients,
 * each with a key, a UDP socket and a session of its own, and one TUN for all of them. A packet
 * from the TUN belongs to the client that has its source address: client i has FIRST_INNER + i.
 * Their private keys come on standard input, as many lines. Prints "ready" when all have a session.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "base/ipv4.h"
#include "base/key.h"
#include "device/crypto/aead_batch.h"
#include "device/io/packet.h"
#include "device/io/segment.h"
#include "device/io/tun.h"
#include "device/io/tun_writer.h"
#include "device/io/udp.h"
#include "device/wireguard/cookie.h"
#include "device/wireguard/noise.h"

enum {
	FIRST_INNER = 10 << 24 | 50 << 16 | 1,
	MTU = 1420,
	QUEUE = 1000, /* packets that the TUN keeps, as the device has it */
	ANSWER_MS = 6000, /* longer than REKEY_TIMEOUT_MS */
	TRIES = 3,
	READS_PER_TURN = 32,
	EVENTS = 64,
	OVERHEAD = sizeof(struct message_transport) + AEAD_TAG_SIZE,
};

struct client {
	struct noise noise; /* what is common to all, and its own key */
	struct noise_remote server;
	struct aead_key send, receive;
	uint32_t remote_index;
	uint64_t counter;
	int udp;
	bool plain; /* the path refuses super-packets */
};

struct clients {
	struct client *client;
	unsigned int n;
	int epoll;
	struct udp_endpoint server;
	struct noise noise;
	struct cookie_keys to_server;
	struct tun tun;
	struct aead_batch *sealing, *opening;
	struct udp_batch *batch;
	struct tun_writer writer;
	struct drops drops;
	struct refusals refusals;
	uint8_t in[AEAD_ROOM + TUN_READ_MAX + SEGMENT_PAD_MAX + AEAD_ROOM];
	uint8_t out[AEAD_ROOM + 2 * 65536];
};

static uint64_t unix_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* --- Sessions --- */

static void send_to_server(struct clients *clients, struct client *client, const void *data,
	size_t length, size_t step)
{
	struct udp_burst burst = {.data = data, .length = length, .step = step};

	udp_send(client->udp, &clients->server, &burst, &client->plain);
}

static int send_initiation(struct clients *clients, unsigned int i, struct handshake *handshake,
	struct cookie_jar *jar)
{
	struct client *client = &clients->client[i];
	struct message_initiation message;
	uint8_t timestamp[TIMESTAMP_SIZE];
	int error;

	noise_timestamp(unix_ns(), timestamp);
	error = noise_create_initiation(
		&client->noise, &client->server, i, timestamp, handshake, &message);
	if (error == 0)
		error = cookie_add_macs(jar, &clients->to_server, clients->noise.blake2s,
			(uint8_t *)&message, sizeof message, unix_ns() / 1000000);
	if (error == 0)
		send_to_server(clients, client, &message, sizeof message, sizeof message);
	return error;
}

static int take_response(
	struct client *client, const struct udp_message *message, struct handshake *handshake)
{
	const struct message_response *response = (const void *)message->data;
	int error;

	if (messages_type(message->data, message->length) != MESSAGE_RESPONSE)
		return -EBADMSG;
	error = noise_consume_response(&client->noise, &client->server, response, handshake);
	if (error < 0)
		return error;
	client->remote_index = le32_get(response->sender);
	return noise_derive(&client->noise, handshake, true, &client->send, &client->receive);
}

/* Seals one packet, or nothing. Returns the length of the message. */
static size_t seal(struct clients *clients, struct client *client, const uint8_t *data,
	size_t length, uint8_t *out)
{
	*(struct message_transport *)out = (struct message_transport){.type = MESSAGE_TRANSPORT,
		.receiver = le32_make(client->remote_index),
		.counter = le64_make(client->counter)};
	if (aead_batch_seal(clients->sealing, &client->send, client->counter++, data, length,
		    out + sizeof(struct message_transport)) < 0)
		return 0;
	return length + OVERHEAD;
}

/* The server uses the session when it has heard something in it. */
static int send_keepalive(struct clients *clients, struct client *client)
{
	uint8_t *out = clients->out + AEAD_ROOM;
	size_t n = seal(clients, client, clients->in + AEAD_ROOM, 0, out);

	if (n == 0 || aead_batch_finish(clients->sealing) < 0)
		return -EIO;
	send_to_server(clients, client, out, n, n);
	return 0;
}

static int try_handshake(struct clients *clients, unsigned int i)
{
	struct client *client = &clients->client[i];
	struct pollfd polled = {.fd = client->udp, .events = POLLIN};
	struct udp_message messages[UDP_BATCH];
	struct handshake handshake = {0};
	struct cookie_jar jar = {0};
	int error = send_initiation(clients, i, &handshake, &jar);

	if (error == 0 && poll(&polled, 1, ANSWER_MS) <= 0)
		error = -ETIMEDOUT;
	if (error == 0)
		error = udp_receive(client->udp, clients->batch, messages) > 0
				? take_response(client, &messages[0], &handshake)
				: -EAGAIN;
	handshake_wipe(&handshake);
	return error < 0 ? error : send_keepalive(clients, client);
}

static int begin_session(struct clients *clients, unsigned int i)
{
	int error = -ETIMEDOUT;

	for (int tried = 0; tried < TRIES && error < 0; tried++)
		error = try_handshake(clients, i);
	return error;
}

/* --- Packets --- */

static struct client *client_of(struct clients *clients, const uint8_t *packet, size_t length)
{
	struct packet parsed;
	uint32_t i;

	if (packet_parse(packet, length, &parsed) < 0 || parsed.version != 4)
		return NULL;
	i = packet_get32(parsed.source) - FIRST_INNER;
	return i < clients->n ? &clients->client[i] : NULL;
}

static void flush_out(struct clients *clients, struct client *client, size_t used, size_t step)
{
	if (used > 0 && aead_batch_finish(clients->sealing) == 0)
		send_to_server(clients, client, clients->out + AEAD_ROOM, used, step);
}

/* All segments of a super-packet go with one send, as the device does it. */
static void carry_out(struct clients *clients, const struct virtio_net_hdr *header, uint8_t *packet,
	size_t length)
{
	struct client *client = client_of(clients, packet, length);
	size_t used = 0, step = 0, n = 0;
	struct segmenter segmenter;
	struct segment segment;

	if (!client || segmenter_begin(&segmenter, header, packet, length) < 0)
		return;
	while (segmenter_next(&segmenter, &segment)) {
		size_t padded = messages_padded(segment.length, MTU);

		segmenter_pad(&segmenter, &segment, padded - segment.length);
		if (n == UDP_SEGMENTS || used + padded + OVERHEAD > UDP_SEND_MAX) {
			flush_out(clients, client, used, step);
			used = n = 0;
		}
		used += seal(
			clients, client, segment.data, padded, clients->out + AEAD_ROOM + used);
		if (n++ == 0)
			step = used;
	}
	flush_out(clients, client, used, step);
}

static void read_tun(struct clients *clients)
{
	uint8_t *in = clients->in + AEAD_ROOM;
	struct virtio_net_hdr header;

	for (int i = 0; i < READS_PER_TURN; i++) {
		ssize_t n = read(clients->tun.queues[0], in, TUN_READ_MAX);

		if (n < (ssize_t)sizeof header)
			break;
		memcpy(&header, in, sizeof header);
		carry_out(clients, &header, in + sizeof header, (size_t)n - sizeof header);
	}
}

static void open_all(
	struct clients *clients, const struct client *client, struct aead_sealed *sealed, size_t n)
{
	struct packet packet;

	aead_batch_open(clients->opening, &client->receive, sealed, n);
	for (size_t i = 0; i < n; i++)
		if (sealed[i].authentic &&
			packet_parse(sealed[i].data, sealed[i].n - AEAD_TAG_SIZE, &packet) == 0)
			tun_writer_add(&clients->writer, sealed[i].data, packet.length);
}

static void carry_in(
	struct clients *clients, const struct client *client, const struct udp_message *message)
{
	struct aead_sealed sealed[AEAD_BATCH];
	size_t n = 0, length;

	for (size_t at = 0; at < message->length; at += length) {
		uint8_t *data = message->data + at;
		const struct message_transport *header = (const void *)data;

		length = message->length - at;
		if (length > message->step)
			length = message->step;
		if (messages_type(data, length) != MESSAGE_TRANSPORT)
			continue;
		if (n == AEAD_BATCH) {
			open_all(clients, client, sealed, n);
			n = 0;
		}
		sealed[n++] = (struct aead_sealed){.data = data + sizeof *header,
			.n = length - sizeof *header,
			.counter = le64_get(header->counter)};
	}
	open_all(clients, client, sealed, n);
}

static void read_udp(struct clients *clients, const struct client *client)
{
	struct udp_message messages[UDP_BATCH];
	int n = udp_receive(client->udp, clients->batch, messages);

	for (int i = 0; i < n; i++)
		carry_in(clients, client, &messages[i]);
	tun_writer_flush(&clients->writer);
}

static void run(struct clients *clients)
{
	struct epoll_event events[EVENTS];

	for (;;) {
		int n = epoll_wait(clients->epoll, events, EVENTS, -1);

		for (int i = 0; i < n; i++)
			if (events[i].data.u32 == clients->n)
				read_tun(clients);
			else
				read_udp(clients, &clients->client[events[i].data.u32]);
	}
}

/* --- All together --- */

static int watch(struct clients *clients, int fd, uint32_t number)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = number};

	return epoll_ctl(clients->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int add_client(
	struct clients *clients, const struct key *private_key, const struct key *server)
{
	struct client *all = realloc(clients->client, (clients->n + 1) * sizeof *all), *client;

	if (!all)
		return -ENOMEM;
	clients->client = all;
	client = &all[clients->n++];
	*client = (struct client){.noise = clients->noise, .server.public_key = *server};
	client->noise.private_key = curve_key_new(private_key, &client->noise.public_key);
	client->udp = udp_open(AF_INET, 0, 0, false);
	if (!client->noise.private_key)
		return -EIO;
	if (client->udp < 0)
		return client->udp;
	return noise_agree_statics(&client->noise, &client->server);
}

static int read_clients(struct clients *clients, const struct key *server)
{
	char line[128];
	struct key key;
	int error = 0;

	while (error == 0 && fgets(line, sizeof line, stdin)) {
		error = key_parse(line, strcspn(line, "\n"), &key);
		if (error == 0)
			error = add_client(clients, &key, server);
	}
	return error;
}

static int init(struct clients *clients, const char *tun, const struct key *server)
{
	int error = noise_init(&clients->noise, noise_random);

	if (error == 0)
		error = cookie_keys_init(&clients->to_server, clients->noise.blake2s, server);
	if (error == 0)
		error = read_clients(clients, server);
	if (error == 0)
		error = tun_open(&clients->tun, tun, 1);
	if (error == 0)
		error = tun_configure(&clients->tun, MTU, QUEUE);
	if (error == 0)
		error = tun_writer_init(&clients->writer, clients->tun.queues[0], clients->tun.uso,
			&clients->drops, &clients->refusals);
	clients->refusals.name = tun;
	clients->sealing = aead_batch_new(AEAD_BEST);
	clients->opening = aead_batch_new(AEAD_BEST);
	clients->batch = udp_batch_new(&clients->refusals);
	clients->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (error == 0 && (!clients->sealing || !clients->opening || !clients->batch))
		error = -ENOMEM;
	return error;
}

static int begin(struct clients *clients)
{
	int error = 0;

	for (unsigned int i = 0; i < clients->n && error == 0; i++) {
		error = begin_session(clients, i);
		if (error == 0)
			error = watch(clients, clients->client[i].udp, i);
	}
	return error < 0 ? error : watch(clients, clients->tun.queues[0], clients->n);
}

int main(int argc, char **argv)
{
	struct clients *clients = calloc(1, sizeof *clients);
	struct ipv4 address;
	struct key server;
	int error;

	if (!clients || argc != 5 || ipv4_parse(argv[2], &address) < 0 ||
		key_parse(argv[4], strlen(argv[4]), &server) < 0) {
		fprintf(stderr, "usage: many_clients TUN ADDRESS PORT PUBLIC-KEY < private-keys\n");
		return EXIT_FAILURE;
	}
	clients->server.v4 = (struct sockaddr_in){.sin_family = AF_INET,
		.sin_port = htons((uint16_t)atoi(argv[3])),
		.sin_addr.s_addr = ipv4_to_net(address)};
	error = init(clients, argv[1], &server);
	if (error == 0)
		error = begin(clients);
	if (error < 0) {
		fprintf(stderr, "many_clients: %s\n", strerror(-error));
		return EXIT_FAILURE;
	}
	puts("ready");
	fflush(stdout);
	run(clients);
}
