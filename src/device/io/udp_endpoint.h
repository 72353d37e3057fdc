/* Where a datagram comes from or goes to: an outer address and a UDP port. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct udp_endpoint {
	union {
		sa_family_t family; /* AF_INET, AF_INET6, or AF_UNSPEC: not known */
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	};
	/* Our address that the datagram came to, or goes from; all zero: the routing decides. */
	union {
		struct in_addr local4;
		struct in6_addr local6;
	};
	uint32_t interface; /* ifindex, where the datagram came in; 0: not known */
};

/* Whether our own address is known. */
bool udp_endpoint_has_source(const struct udp_endpoint *endpoint);
/* The routing decides from now on. */
void udp_endpoint_forget_source(struct udp_endpoint *endpoint);

/* The bytes of the address followed by those of the port, in network byte order, as a cookie binds
 * them (paper, 5.4.7). Returns how many were written: 6, 18, or 0 without a family. */
enum { UDP_ENDPOINT_BYTES_MAX = 18 };
size_t udp_endpoint_bytes(
	const struct udp_endpoint *endpoint, uint8_t bytes[UDP_ENDPOINT_BYTES_MAX]);
