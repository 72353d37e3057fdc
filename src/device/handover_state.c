/* Counters in their order, and outer addresses, as records have them. Runs in the control thread.
 */
#include "device/handover_state.h"

#include <string.h>

_Atomic uint64_t *handover_drops_place(struct device *device, unsigned int number)
{
	struct drops *drops = &device->shared.drops;
	_Atomic uint64_t *const places[] = {
		&drops->malformed,
		&drops->no_target,
		&drops->no_endpoint,
		&drops->no_session,
		&drops->forged,
		&drops->replayed,
		&drops->spoofed,
		&drops->congested,
		&drops->unknown_source,
		&drops->handshakes,
		&drops->looped,
		&drops->unsent,
	};

	_Static_assert(sizeof places / sizeof *places == sizeof *drops / sizeof *places[0],
		"one is missing");
	return number < sizeof places / sizeof *places ? places[number] : NULL;
}

uint64_t *handover_control_drops_place(struct device *device, unsigned int number)
{
	struct wireguard_drops *drops = &device->shared.wireguard.dropped;
	uint64_t *const places[] = {
		&drops->malformed,
		&drops->forged,
		&drops->unknown,
		&drops->replayed,
		&drops->limited,
		&drops->cookies,
	};

	_Static_assert(sizeof places / sizeof *places == sizeof *drops / sizeof *places[0],
		"one is missing");
	return number < sizeof places / sizeof *places ? places[number] : NULL;
}

void handover_endpoint_write(const struct udp_endpoint *from, struct handover_endpoint *to)
{
	*to = (struct handover_endpoint){
		.family = (uint8_t)from->family, .interface = from->interface};
	if (from->family == AF_INET) {
		to->port = from->v4.sin_port;
		memcpy(to->address, &from->v4.sin_addr, sizeof from->v4.sin_addr);
		memcpy(to->local, &from->local4, sizeof from->local4);
	} else if (from->family == AF_INET6) {
		to->port = from->v6.sin6_port;
		to->scope = from->v6.sin6_scope_id;
		memcpy(to->address, &from->v6.sin6_addr, sizeof from->v6.sin6_addr);
		memcpy(to->local, &from->local6, sizeof from->local6);
	}
}

void handover_endpoint_read(const struct handover_endpoint *from, struct udp_endpoint *to)
{
	memset(to, 0, sizeof *to);
	to->interface = from->interface;
	if (from->family == AF_INET) {
		to->v4.sin_family = AF_INET;
		to->v4.sin_port = from->port;
		memcpy(&to->v4.sin_addr, from->address, sizeof to->v4.sin_addr);
		memcpy(&to->local4, from->local, sizeof to->local4);
	} else if (from->family == AF_INET6) {
		to->v6.sin6_family = AF_INET6;
		to->v6.sin6_port = from->port;
		to->v6.sin6_scope_id = from->scope;
		memcpy(&to->v6.sin6_addr, from->address, sizeof to->v6.sin6_addr);
		memcpy(&to->local6, from->local, sizeof to->local6);
	}
}
