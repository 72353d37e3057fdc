/*
 * What a UDP socket may bring, as a worker takes it. The first byte of the input says how the rest
 * is used: as one datagram, or several joined ones; or as what a peer that holds the key has
 * sealed. Nothing goes through but sealed packets of the peer's own inner addresses.
 */
#include <arpa/inet.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device/io/ecn.h"
#include "device/io/packet.h"
#include "device/receive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	MODE_SEALED = 4, /* the lowest bits are the outer ECN field */
	MODE_STEP = 8, /* joined datagrams, of as many bytes as the upper bits say, times this */
	STEP_SHIFT = 4,
	DATAGRAM_MAX = 1 << 16,
	NOW = 1000000,
};

static struct shared shared;
static struct receiver receiver;
static struct wg_peer peer;
static struct keypair *keypair;
static struct in_addr inner4;
static struct in6_addr inner6;
static struct aead *aead;
static uint64_t counter;

static int no_random(void *bytes, size_t length)
{
	memset(bytes, 1, length);
	return 0;
}

static void set_up(void)
{
	struct cookie_keys keys = {{1}, {{2}}};

	aead = aead_new();
	epoch_init(&shared.epoch, 0);
	allowedips_init(&shared.inner, &shared.epoch);
	index_init(&shared.wireguard.indices, &shared.epoch, no_random);
	mac1_filter_init(&shared.wireguard.filter, &shared.wireguard.indices, &shared.epoch);
	mac1_filter_set_keys(&shared.wireguard.filter, &keys);
	atomic_store(&shared.mtu, 1420);
	shared.tun.uso = true;
	shared.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	inet_pton(AF_INET, "10.0.0.2", &inner4);
	inet_pton(AF_INET6, "fd00::2", &inner6);
	allowedips_insert(&shared.inner, AF_INET, &inner4, 32, &peer.target.inner);
	allowedips_insert(&shared.inner, AF_INET6, &inner6, 128, &peer.target.inner);
	keypair = keypair_new();
	keypair->peer = &peer;
	keypair->made_ms = NOW;
	index_choose(&shared.wireguard.indices, &keypair->entry.index);
	keypair->entry.kind = INDEX_KEYPAIR;
	index_publish(&shared.wireguard.indices, &keypair->entry);
	receiver_init(&receiver, &shared, memfd_create("tun", MFD_CLOEXEC));
}

/* The input as the plaintext of a message that the peer has sealed. */
static size_t seal(const uint8_t *data, size_t size, uint8_t *out)
{
	struct message_transport *message = (struct message_transport *)out;

	*message = (struct message_transport){.type = MESSAGE_TRANSPORT,
		.receiver = le32_make(keypair->entry.index),
		.counter = le64_make(counter)};
	aead_seal(aead, &keypair->receive, counter++, NULL, 0, data, size, out + sizeof *message);
	return sizeof *message + size + AEAD_TAG_SIZE;
}

/* All that has gone to the TUN is from the peer's addresses. */
static void check_written(void)
{
	static uint8_t written[2 * DATAGRAM_MAX];
	ssize_t n = pread(receiver.writer.tun, written, sizeof written, 0);
	const uint8_t *packet = written + sizeof(struct virtio_net_hdr);
	struct packet parsed;

	if (n == 0)
		return;
	if (packet_parse(packet, (size_t)n - sizeof(struct virtio_net_hdr), &parsed) < 0 ||
		parsed.length + sizeof(struct virtio_net_hdr) != (size_t)n ||
		(parsed.version == 4 ? memcmp(parsed.source, &inner4, sizeof inner4)
				     : memcmp(parsed.source, &inner6, sizeof inner6)) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t room[AEAD_ROOM + DATAGRAM_MAX + AEAD_ROOM], *const datagram =
									   room + AEAD_ROOM;
	struct udp_message message = {.data = datagram};
	uint64_t before;
	uint8_t mode;

	if (!receiver.aead)
		set_up();
	if (size < 1 || size > DATAGRAM_MAX / 2)
		return 0;
	mode = *data++;
	size--;
	before = atomic_load(&peer.target.received);
	message.ecn = mode & ECN_MASK;
	if (mode & MODE_SEALED) {
		message.length = seal(data, size, datagram);
	} else {
		memcpy(datagram, data, size);
		message.length = size;
	}
	message.step = message.length;
	if (mode & MODE_STEP && mode >> STEP_SHIFT)
		message.step = (size_t)(mode >> STEP_SHIFT) * MODE_STEP;
	if (ftruncate(receiver.writer.tun, 0) < 0 || lseek(receiver.writer.tun, 0, SEEK_SET) < 0)
		abort();
	receive_message(&receiver, &message, NOW);
	tun_writer_flush(&receiver.writer);
	if (!(mode & MODE_SEALED) && atomic_load(&peer.target.received) != before)
		abort();
	check_written();
	while (handoff_count(&receiver.handoff) > 0)
		handoff_done(&receiver.handoff);
	atomic_store(&peer.requests, 0);
	shared.wireguard.inbox.first = NULL;
	return 0;
}
