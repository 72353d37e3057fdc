/* Where a datagram comes from or goes to: an outer address and a UDP port. */
#pragma once

#include <netinet/in.h>
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
};

/* The bytes of the address followed by those of the port, in network byte order, as a cookie binds
 * them (paper, 5.4.7). Returns how many were written: 6, 18, or 0 without a family. */
enum { UDP_ENDPOINT_BYTES_MAX = 18 };
size_t udp_endpoint_bytes(
	const struct udp_endpoint *endpoint, uint8_t bytes[UDP_ENDPOINT_BYTES_MAX]);
