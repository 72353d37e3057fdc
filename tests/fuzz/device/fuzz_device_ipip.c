/* What a raw socket of protocol 4 may bring: only the peer's own inner source may go through. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "device/ipip/ipip.h"
#include "device/io/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct epoch epoch;
static struct drops drops;
static struct refusals refusals;
static _Atomic uint32_t mtu;
static struct ipip ipip;
static struct tun_writer writer;
static struct ipip_peer peer;

static void set_up(void)
{
	epoch_init(&epoch, 0);
	ipip_init(&ipip, &epoch, &mtu, &drops, &refusals);
	atomic_store(&mtu, 1420);
	peer.target.kind = TARGET_IPIP;
	inet_pton(AF_INET, "192.0.2.1", &peer.remote);
	inet_pton(AF_INET, "10.0.0.2", &peer.source);
	allowedips_insert(&ipip.peers, AF_INET, &peer.remote, 32, &peer.outer);
	tun_writer_init(&writer, open("/dev/null", O_WRONLY | O_CLOEXEC), true, &drops, &refusals);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t before;
	uint8_t *copy = malloc(size);

	if (!writer.coalescer)
		set_up();
	before = atomic_load(&peer.target.received);
	memcpy(copy, data, size);
	ipip_decapsulate(&ipip, &writer, copy, size, 1);
	if (atomic_load(&peer.target.received) != before) {
		size_t header = (data[0] & 15u) * 4u;

		if (memcmp(data + 12, &peer.remote, 4) != 0 ||
			memcmp(data + header + 12, &peer.source, 4) != 0)
			abort();
	}
	tun_writer_flush(&writer);
	free(copy);
	return 0;
}
