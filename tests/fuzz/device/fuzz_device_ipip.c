/* What a raw socket of protocol 4 may bring: only the peer's own inner source may go through. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "device/ipip/ipip.h"
#include "device/io/packet.h"
#include "device/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct shared shared;
static struct receiver receiver;
static struct ipip_target target;

static void set_up(void)
{
	epoch_init(&shared.epoch, 0);
	allowedips_init(&shared.inner, &shared.epoch);
	allowedips_init(&shared.outer, &shared.epoch);
	atomic_store(&shared.mtu, 1420);
	shared.tun.uso = true;
	target.target.kind = TARGET_IPIP;
	inet_pton(AF_INET, "192.0.2.1", &target.remote);
	inet_pton(AF_INET, "10.0.0.2", &target.source);
	allowedips_insert(&shared.outer, AF_INET, &target.remote, 32, &target.outer);
	receiver_init(&receiver, &shared, open("/dev/null", O_WRONLY | O_CLOEXEC));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t before;
	uint8_t *copy = malloc(size);

	if (!receiver.aead)
		set_up();
	before = atomic_load(&target.target.received);
	memcpy(copy, data, size);
	ipip_take(&receiver, copy, size, 1);
	if (atomic_load(&target.target.received) != before) {
		size_t header = (data[0] & 15u) * 4u;

		if (memcmp(data + 12, &target.remote, 4) != 0 ||
			memcmp(data + header + 12, &target.source, 4) != 0)
			abort();
	}
	receive_flush(&receiver);
	free(copy);
	return 0;
}
