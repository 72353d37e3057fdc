/* Fills the maps of IPIP's fast path, peer by peer, from the kernel's routes and links. Runs in the
 * control thread. */
#include "device/ipip/fast_path.h"

#include <errno.h>
#include <net/if.h>
#include <unistd.h>

#include <linux/if_arp.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "base/ipv4.h"
#include "device/ipip/bpf.h"
#include "device/ipip/ipip_bpf.h"
#include "netlink/link.h"
#include "netlink/route.h"
#include "netlink/socket.h"

enum { NS_PER_MS = 1000000 };

/* The route to a peer. */
struct peer_route {
	unsigned int interface;
	uint32_t mtu; /* bytes, of outer packets */
};

int fast_path_init(struct fast_path *path, const struct fast_path_ops *ops, void *context)
{
	*path = (struct fast_path){.tx_map = -1, .rx_map = -1, .ops = ops, .context = context};
	return netlink_open(NETLINK_ROUTE, &path->netlink);
}

void fast_path_free(struct fast_path *path)
{
	fast_path_close(path);
	netlink_close(path->netlink);
}

int fast_path_open(struct fast_path *path, struct in_addr local, unsigned int tun)
{
	int error;

	fast_path_close(path);
	path->local = local;
	error = path->ops->open(path->context, local, tun, &path->tx_map, &path->rx_map);
	if (error < 0)
		fast_path_close(path);
	return error;
}

void fast_path_leave(struct fast_path *path)
{
	if (path->tx_map >= 0)
		close(path->tx_map);
	if (path->rx_map >= 0)
		close(path->rx_map);
	path->tx_map = path->rx_map = -1;
	path->n_uplinks = 0;
}

void fast_path_close(struct fast_path *path)
{
	fast_path_leave(path);
	path->ops->close(path->context);
}

void fast_path_adopt(struct fast_path *path, struct in_addr local, int tx_map, int rx_map,
	const unsigned int *uplinks, unsigned int n_uplinks)
{
	path->local = local;
	path->tx_map = tx_map;
	path->rx_map = rx_map;
	path->n_uplinks = n_uplinks < IPIP_UPLINKS_MAX ? n_uplinks : IPIP_UPLINKS_MAX;
	for (unsigned int i = 0; i < path->n_uplinks; i++)
		path->uplinks[i] = uplinks[i];
}

/* False: there is none, or none that the programs can use. */
static bool find_route(
	const struct fast_path *path, struct in_addr remote, struct peer_route *found)
{
	struct route route;
	struct link link;

	if (route_lookup_marked(path->netlink, ipv4_from_net(remote.s_addr),
		    ipv4_from_net(path->local.s_addr), path->mark, &route) < 0 ||
		route.type != RTN_UNICAST || route.encapsulates)
		return false;
	if (link_get_index(path->netlink, route.oif, &link) < 0 || link.type != ARPHRD_ETHER ||
		!(link.flags & IFF_UP))
		return false;
	found->interface = route.oif;
	found->mtu = route.mtu != 0 && route.mtu < link.mtu ? route.mtu : link.mtu;
	return true;
}

/* Whether the program for arriving packets is attached to the interface. */
static bool receives_from(struct fast_path *path, unsigned int interface)
{
	for (unsigned int i = 0; i < path->n_uplinks; i++)
		if (path->uplinks[i] == interface)
			return true;
	if (path->n_uplinks == IPIP_UPLINKS_MAX || path->ops->attach(path->context, interface) < 0)
		return false;
	path->uplinks[path->n_uplinks++] = interface;
	return true;
}

void fast_path_update(struct fast_path *path, const struct ipip_peer *peer)
{
	struct ipip_tx_entry tx = {.remote = peer->remote};
	struct ipip_rx_entry rx = {.inner = peer->source};
	struct peer_route route = {0};

	/* the programs look up one address */
	if (!fast_path_is_open(path) || peer->source.s_addr == INADDR_ANY)
		return;
	/* a packet that is longer than the path's MTU goes by the raw socket: with 0, all do */
	if (!find_route(path, peer->remote, &route) || !receives_from(path, route.interface))
		route.mtu = 0;
	/* the counters of an entry that is there go on */
	bpf_map_get(path->rx_map, &peer->remote, &rx);
	bpf_map_get(path->tx_map, &peer->source, &tx);
	rx.inner = peer->source;
	tx.remote = peer->remote;
	tx.interface = route.interface;
	tx.mtu = route.mtu;
	if (bpf_map_set(path->rx_map, &peer->remote, &rx) < 0 ||
		bpf_map_set(path->tx_map, &peer->source, &tx) < 0)
		fast_path_remove(path, peer);
}

void fast_path_remove(struct fast_path *path, const struct ipip_peer *peer)
{
	if (!fast_path_is_open(path))
		return;
	bpf_map_delete(path->tx_map, &peer->source);
	bpf_map_delete(path->rx_map, &peer->remote);
}

static void add_usage(struct ipip_usage *usage, uint64_t *bytes, uint64_t more, uint64_t active_ns)
{
	*bytes += more;
	if (active_ns / NS_PER_MS > usage->active_ms)
		usage->active_ms = active_ns / NS_PER_MS;
}

struct ipip_usage fast_path_usage(const struct fast_path *path, const struct ipip_peer *peer)
{
	struct ipip_usage usage = {
		.sent = atomic_load(&peer->target.sent),
		.received = atomic_load(&peer->target.received),
		.active_ms = atomic_load(&peer->active_ms),
	};
	struct ipip_tx_entry tx;
	struct ipip_rx_entry rx;

	if (!fast_path_is_open(path))
		return usage;
	if (bpf_map_get(path->tx_map, &peer->source, &tx) == 0)
		add_usage(&usage, &usage.sent, tx.bytes, tx.active_ns);
	if (bpf_map_get(path->rx_map, &peer->remote, &rx) == 0)
		add_usage(&usage, &usage.received, rx.bytes, rx.active_ns);
	return usage;
}
