/* The bytes of an endpoint that a cookie binds. Runs in the control thread. */
#include "device/io/udp_endpoint.h"

#include <string.h>

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
