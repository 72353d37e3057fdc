#include "device/io/udp_endpoint.h"

#include <string.h>

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	if (a->family != b->family)
		return false;
	switch (a->family) {
	case AF_INET:
		return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr &&
		       a->v4.sin_port == b->v4.sin_port;
	case AF_INET6:
		return memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof a->v6.sin6_addr) == 0 &&
		       a->v6.sin6_port == b->v6.sin6_port &&
		       a->v6.sin6_scope_id == b->v6.sin6_scope_id;
	}
	return true;
}

size_t endpoint_bytes(const struct endpoint *endpoint, uint8_t bytes[ENDPOINT_BYTES_MAX])
{
	switch (endpoint->family) {
	case AF_INET:
		memcpy(bytes, &endpoint->v4.sin_addr, 4);
		memcpy(bytes + 4, &endpoint->v4.sin_port, 2);
		return 6;
	case AF_INET6:
		memcpy(bytes, &endpoint->v6.sin6_addr, 16);
		memcpy(bytes + 16, &endpoint->v6.sin6_port, 2);
		return 18;
	}
	return 0;
}
