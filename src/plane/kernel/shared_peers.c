/*
 * The filters and routes of IPIP peers that share an interface: made, read and removed. Runs in the
 * server's broker.
 */
#include "plane/kernel/shared_peers.h"

#include <errno.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "netlink/flower.h"
#include "netlink/request.h"
#include "netlink/route.h"
#include "netlink/socket.h"
#include "plane/kernel/ipip_table.h"
#include "plane/kernel/shared.h"

enum {
	AT_ONCE = 25, /* peers in one request */
	RECEIVED = 0, /* the messages of each of them, in this order */
	SENT,
	ROUTE,
	N_MESSAGES,
};

static struct flower_peer filter_of(
	const struct kernel_device *device, const struct plane_peer *peer)
{
	return (struct flower_peer){
		.inner = peer->inner, .bind = device->endpoint.bind, .remote = peer->remote};
}

static int fail(const struct kernel_device *device, int error, const struct plane_peer *peer,
	const char *tried)
{
	struct kernel_plane *kernel = kernel_plane_of(device);

	/* The endpoint's own interface is there. */
	return kernel_fail(kernel, error == -ENODEV ? -EIO : error, netlink_error(kernel->route),
		"%s %s at %s, from %s to %s", tried, ipv4_text(peer->inner).s,
		PLANE_SHARED_IPIP_NAME, ipv4_text(device->endpoint.bind).s,
		ipv4_text(peer->remote).s);
}

/* flags: as flower_put_peer(). One that is standby has no route. */
static void put_peer(struct netlink_request *request, const struct kernel_device *device,
	const struct plane_peer *peer, uint16_t flags)
{
	const struct flower_place received = kernel_shared_place(device, FLOWER_RECEIVED);
	const struct flower_place sent = kernel_shared_place(device, FLOWER_SENT);
	const struct flower_peer filter = filter_of(device, peer);
	const struct route route =
		route_of_link((struct prefix){peer->inner, 32}, received.ifindex);

	flower_put_peer(request, &received, &filter, PLANE_SHARED_IPIP_MARK, flags);
	flower_put_peer(request, &sent, &filter, 0, flags);
	if (!device->endpoint.is_standby)
		route_put(request, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &route);
}

static void put_removal(
	struct netlink_request *request, const struct kernel_device *device, struct ipv4 inner)
{
	const struct flower_place received = kernel_shared_place(device, FLOWER_RECEIVED);
	const struct flower_place sent = kernel_shared_place(device, FLOWER_SENT);
	const struct route route = route_of_link((struct prefix){inner, 32}, sent.ifindex);

	flower_put_peer_removal(request, &received, inner);
	flower_put_peer_removal(request, &sent, inner);
	route_put(request, RTM_DELROUTE, 0, &route);
}

static bool is_gone(int error)
{
	return error == -ENOENT || error == -ESRCH || kernel_shared_has_no_filters(error);
}

/* Both filters of a peer, as they are. */
struct both {
	enum flower_direction reading;
	struct flower_place places[2];
	struct flower_peer filters[2];
};

static int keep_filter(void *context, size_t number, const struct nlmsghdr *message)
{
	struct both *both = context;
	int result;

	if (number > FLOWER_SENT)
		return 0;
	result = flower_decode_peer(message, &both->places[number], &both->filters[number]);
	return result < 0 ? result : 0;
}

static bool are_of(const struct both *both, const struct flower_peer *filter)
{
	const struct flower_peer *received = &both->filters[FLOWER_RECEIVED];
	const struct flower_peer *sent = &both->filters[FLOWER_SENT];

	return ipv4_equal(received->inner, filter->inner) &&
	       ipv4_equal(received->remote, filter->remote) &&
	       ipv4_equal(sent->inner, filter->inner) && ipv4_equal(sent->remote, filter->remote) &&
	       ipv4_equal(sent->bind, filter->bind);
}

/* Whether the kernel has both filters of the peer: 0, -ENODEV if certainly not, or -errno; -EIO
 * where the interface or its hook has gone, and all peers are to be made again. */
static int has_filters(struct kernel_device *device, const struct plane_peer *peer)
{
	struct kernel_plane *kernel = kernel_plane_of(device);
	const struct flower_peer wanted = filter_of(device, peer);
	struct both both = {.places = {kernel_shared_place(device, FLOWER_RECEIVED),
				    kernel_shared_place(device, FLOWER_SENT)}};
	struct netlink_request request;
	int error;

	netlink_request_init(&request);
	flower_put_peer_get(&request, &both.places[FLOWER_RECEIVED], peer->inner);
	flower_put_peer_get(&request, &both.places[FLOWER_SENT], peer->inner);
	error = netlink_transact(kernel->route, &request, NULL, keep_filter, &both);
	if (error < 0)
		return error == -ENOENT ? -ENODEV : is_gone(error) ? -EIO : error;
	return are_of(&both, &wanted) ? 0 : -ENODEV;
}

/* Nobody makes it again from then on but add(). */
static void forget(struct kernel_device *device, struct ipv4 inner)
{
	struct kernel_ipip *ipip = kernel_ipip_of_inner(device, inner);

	if (ipip)
		kernel_ipip_forget(device, ipip);
}

/* The address may be another peer's meanwhile, which has replaced it. */
static bool is_anothers(const struct kernel_device *device, const struct plane_peer *peer)
{
	const struct kernel_ipip *ipip = kernel_ipip_of_inner(device, peer->inner);

	return ipip && ipip->remote.value != 0 && peer->remote.value != 0 &&
	       !ipv4_equal(ipip->remote, peer->remote);
}

int kernel_shared_check(struct kernel_device *device, const struct plane_peer *peer)
{
	int error = kernel_forget_gone_links(kernel_plane_of(device));

	if (error == 0)
		error = has_filters(device, peer);
	if (error == -ENODEV) {
		if (!is_anothers(device, peer))
			forget(device, peer->inner);
		return kernel_fail(kernel_plane_of(device), error, NULL, "look up %s at %s",
			ipv4_text(peer->inner).s, PLANE_SHARED_IPIP_NAME);
	}
	return error < 0 ? fail(device, error, peer, "look up") : 0;
}

/* It is there in part, or as another one: what is as it should be goes on counting. */
static int write_again(struct kernel_device *device, const struct plane_peer *peer)
{
	struct kernel_plane *kernel = kernel_plane_of(device);
	struct netlink_request request;
	int error = has_filters(device, peer);

	if (error != -ENODEV)
		return error;
	netlink_request_init(&request);
	put_peer(&request, device, peer, 0);
	return netlink_execute(kernel->route, &request);
}

/* What was made for a peer whose other half could not be. */
static void take_back(struct kernel_device *device, const struct plane_peer *peer)
{
	struct netlink_request request;

	netlink_request_init(&request);
	put_removal(&request, device, peer->inner);
	netlink_transact(kernel_plane_of(device)->route, &request, NULL, NULL, NULL);
}

/* One that is known stays where it is: its table may be walked through. */
static int remember(struct kernel_device *device, const struct plane_peer *peer)
{
	struct kernel_ipip *known = kernel_ipip_of_inner(device, peer->inner);

	if (!known || known->ifindex != 0 || !ipv4_equal(known->remote, peer->remote))
		return kernel_ipip_remember(device, 0, peer->inner, peer->remote);
	known->routed = device->n_passes;
	known->met = device->n_readings;
	return 0;
}

/* What became of a peer, by the answers to its messages. */
static int finish(struct kernel_device *device, const struct plane_peer *peer, const int *errors,
	size_t n_messages)
{
	int error = 0;
	bool was_there = false;

	for (size_t i = 0; i < n_messages && error == 0; i++) {
		if (errors[i] == -EEXIST && i != ROUTE)
			was_there = true;
		else
			error = errors[i];
	}
	if (error == 0 && was_there)
		error = write_again(device, peer);
	if (error < 0 && !was_there)
		take_back(device, peer);
	if (error < 0)
		return error;
	return remember(device, peer);
}

/* AT_ONCE peers at the most. *failed becomes the one that could not be made. */
static int add_once(struct kernel_device *device, const struct plane_peer *const *peers, size_t n,
	const struct plane_peer **failed)
{
	struct kernel_plane *kernel = kernel_plane_of(device);
	const size_t n_messages = device->endpoint.is_standby ? ROUTE : N_MESSAGES;
	struct netlink_request request;
	int errors[NETLINK_REQUEST_MESSAGES], error = 0;

	netlink_request_init(&request);
	for (size_t i = 0; i < n; i++)
		put_peer(&request, device, peers[i], NLM_F_EXCL);
	if (request.error < 0)
		return request.error;
	netlink_transact(kernel->route, &request, errors, NULL, NULL);
	for (size_t i = 0; i < n; i++) {
		int result = finish(device, peers[i], &errors[i * n_messages], n_messages);

		if (result < 0 && error == 0)
			*failed = peers[i];
		error = error < 0 ? error : result;
	}
	return error;
}

/* Somebody may have removed the interface or its hook meanwhile. */
static int add_some(struct kernel_device *device, const struct plane_peer *const *peers, size_t n)
{
	const struct plane_peer *failed = peers[0];
	int error;

	if (n == 0)
		return 0;
	error = kernel_plane_of(device)->shared_ifindex == 0 ? -ENODEV
							     : add_once(device, peers, n, &failed);
	if (error == -ENOENT || kernel_shared_has_no_filters(error)) {
		error = kernel_shared_ensure(device, false);
		if (error < 0)
			return error;
		error = add_once(device, peers, n, &failed);
	}
	return error < 0 ? fail(device, error, failed, "make the tunnel of") : 0;
}

int kernel_shared_add(struct kernel_device *device, const struct plane_peer *peers, size_t n)
{
	const struct plane_peer *some[AT_ONCE];
	size_t n_some = 0;
	int error = kernel_forget_gone_links(kernel_plane_of(device));

	for (size_t i = 0; i < n && error == 0; i++) {
		if (peers[i].kind != PEER_IPIP)
			continue;
		some[n_some++] = &peers[i];
		if (n_some == AT_ONCE) {
			error = add_some(device, some, n_some);
			n_some = 0;
		}
	}
	return error == 0 && n_some > 0 ? add_some(device, some, n_some) : error;
}

/* The first answer that does not mean that it is gone. */
static int result_of_removal(const int *errors)
{
	for (size_t i = 0; i < N_MESSAGES; i++)
		if (errors[i] < 0 && !is_gone(errors[i]))
			return errors[i];
	return 0;
}

static void remove_some(struct kernel_device *device, const struct plane_peer *peers,
	const size_t *places, size_t n, int *errors)
{
	struct netlink_request request;
	int answers[NETLINK_REQUEST_MESSAGES];

	netlink_request_init(&request);
	for (size_t i = 0; i < n; i++)
		put_removal(&request, device, peers[places[i]].inner);
	netlink_transact(kernel_plane_of(device)->route, &request, answers, NULL, NULL);
	for (size_t i = 0; i < n; i++) {
		const struct plane_peer *peer = &peers[places[i]];
		int error = result_of_removal(&answers[i * N_MESSAGES]);

		errors[places[i]] =
			error < 0 ? fail(device, error, peer, "remove the tunnel of") : 0;
		if (error == 0)
			forget(device, peer->inner);
	}
}

void kernel_shared_remove(
	struct kernel_device *device, const struct plane_peer *peers, size_t n, int *errors)
{
	size_t places[AT_ONCE], n_places = 0;
	int error = kernel_forget_gone_links(kernel_plane_of(device));

	for (size_t i = 0; i < n; i++) {
		if (peers[i].kind != PEER_IPIP)
			continue;
		errors[i] = error;
		if (error < 0 || is_anothers(device, &peers[i]))
			continue;
		/* Without the interface it has nothing there, and is to get nothing of the next. */
		if (kernel_plane_of(device)->shared_ifindex == 0) {
			forget(device, peers[i].inner);
			continue;
		}
		places[n_places++] = i;
		if (n_places == AT_ONCE) {
			remove_some(device, peers, places, n_places, errors);
			n_places = 0;
		}
	}
	if (n_places > 0)
		remove_some(device, peers, places, n_places, errors);
}
