/* Parts of an endpoint: our own address in it, and the bytes that a cookie binds. Runs in every
 * worker and in the control thread. */
#include "device/io/udp_endpoint.h"

#include <string.h>

bool udp_endpoint_has_source(const struct udp_endpoint *endpoint)
{
	/* of either family: what an IPv4 address leaves over is zero */
	return !IN6_IS_ADDR_UNSPECIFIED(&endpoint->local6);
}

void udp_endpoint_forget_source(struct udp_endpoint *endpoint)
{
	memset(&endpoint->local6, 0, sizeof endpoint->local6);
	endpoint->interface = 0;
}

size_t udp_endpoint_bytes(
	const struct udp_endpoint *endpoint, uint8_t bytes[UDP_ENDPOINT_BYTES_MAX])
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
