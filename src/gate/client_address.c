/* IPv4 and IPv6 addresses of clients as one type. Runs in the gate. */
#include "gate/client_address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum {
	MAPPED_IPV4_OFFSET = 12, /* of the four bytes in ::ffff:a.b.c.d */
};

void client_address_set(struct client_address *client, const struct sockaddr_storage *address)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	client->ip = in6addr_any;
	client->port = 0;
	if (address->ss_family == AF_INET) {
		memcpy(&in, address, sizeof in);
		client->ip.s6_addr[10] = client->ip.s6_addr[11] = 0xff;
		memcpy(client->ip.s6_addr + MAPPED_IPV4_OFFSET, &in.sin_addr, sizeof in.sin_addr);
		client->port = ntohs(in.sin_port);
	} else if (address->ss_family == AF_INET6) {
		memcpy(&in6, address, sizeof in6);
		client->ip = in6.sin6_addr;
		client->port = ntohs(in6.sin6_port);
	}
}

bool client_address_ipv4(const struct client_address *client, struct ipv4 *address)
{
	uint32_t net;

	if (!IN6_IS_ADDR_V4MAPPED(&client->ip))
		return false;
	memcpy(&net, client->ip.s6_addr + MAPPED_IPV4_OFFSET, sizeof net);
	*address = ipv4_from_net(net);
	return true;
}

struct client_address_text client_address_text(const struct client_address *client)
{
	struct client_address_text text;
	char address[INET6_ADDRSTRLEN] = "";
	struct ipv4 ipv4;

	if (client_address_ipv4(client, &ipv4)) {
		snprintf(text.s, sizeof text.s, "%s:%u", ipv4_text(ipv4).s, client->port);
	} else {
		inet_ntop(AF_INET6, &client->ip, address, sizeof address);
		snprintf(text.s, sizeof text.s, "[%s]:%u", address, client->port);
	}
	return text;
}
