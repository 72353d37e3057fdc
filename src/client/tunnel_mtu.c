/* Asks the kernel for the way to the server. Runs in the client, at each round of echoes. */
#include "client/tunnel_mtu.h"

#include "client/mark.h"
#include "netlink/link.h"
#include "netlink/route.h"

int tunnel_mtu_find(struct netlink *netlink, const struct tunnel *tunnel, enum tunnel_kind kind,
	uint32_t *way, uint32_t *mtu)
{
	uint32_t overhead = kind == TUNNEL_IPIP ? MTU_OVERHEAD_IPIP : MTU_OVERHEAD_WIREGUARD;
	struct route route;
	struct link link;
	int error = route_lookup_marked(
		netlink, tunnel->server, (struct ipv4){0}, CLIENT_FWMARK, &route);

	if (error == 0)
		error = link_get_index(netlink, route.oif, &link);
	if (error < 0)
		return error;
	*way = route.mtu > 0 && route.mtu < link.mtu ? route.mtu : link.mtu;
	*mtu = *way < MTU_MIN + overhead ? MTU_MIN : *way - overhead;
	if (*mtu > MTU_MAX)
		*mtu = MTU_MAX;
	return 0;
}
