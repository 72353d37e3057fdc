/* Who is at the other end of a connection, and which of our addresses it came to. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/ipv4.h"

struct client_address {
	struct in6_addr ip; /* an IPv4 one is mapped: RFC 4291, 2.5.5.2 */
	uint16_t port;
	struct ipv4 local; /* the bind address of the endpoint that it came to, */
	uint16_t local_port; /* and the listener's port */
};

/* 1.2.3.4:5678 or [2001:db8::1]:5678 */
struct client_address_text {
	char s[sizeof "[]:65535" + INET6_ADDRSTRLEN];
};

/* From what accept() returns. Any family but the two of IP gives the address ::. */
void client_address_set(struct client_address *client, const struct sockaddr_storage *address);

/* False if the client is not IPv4. */
bool client_address_ipv4(const struct client_address *client, struct ipv4 *address);

struct client_address_text client_address_text(const struct client_address *client);
