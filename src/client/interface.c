/* Finds, makes, sets up and removes the client's interface, whatever its kind. Runs in the client.
 */
#include "client/interface.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/rights.h"
#include "base/sysctl.h"
#include "client/addressing.h"
#include "client/command_netns.h"
#include "client/creation_marker.h"
#include "client/interface_embedded.h"
#include "client/interface_kernel.h"
#include "client/tunnel_mtu.h"
#include "plane/client_link.h"

static const struct interface_kind *const all_kinds[] = {&interface_kernel_wireguard,
	&interface_kernel_ipip, &interface_embedded_wireguard, &interface_embedded_ipip};

/* Logs what failed. Returns the error. */
static int fail(const struct interface *interface, int error, const char *tried)
{
	const char *more = netlink_error(interface->route);

	if (!*more)
		more = netlink_error(interface->outside);

	if (error < 0)
		log_error("%s: cannot %s: %s%s%s", interface->config->interface, tried,
			strerror(-error), *more ? ": " : "", more);
	return error;
}

static int choose_kind(struct interface *interface)
{
	const struct client_config *config = interface->config;
	bool ipip = config->tunnel == TUNNEL_IPIP;
	const struct interface_kind *kernel =
		ipip ? &interface_kernel_ipip : &interface_kernel_wireguard;
	const struct interface_kind *embedded =
		ipip ? &interface_embedded_ipip : &interface_embedded_wireguard;
	int error;

	interface->kind = config->plane == PLANE_EMBEDDED ? embedded : kernel;
	error = interface->kind->probe(interface);
	if (error == -EOPNOTSUPP && config->plane == PLANE_AUTO) {
		interface->kind = embedded;
		error = embedded->probe(interface);
	}
	if (error == -EOPNOTSUPP)
		log_error("--plane=kernel: this kernel has no %s; use --plane=embedded",
			ipip ? "IPIP" : "WireGuard");
	else if (error < 0 && interface->kind == embedded)
		log_error("%s: cannot use /dev/net/tun: %s%s", config->interface, strerror(-error),
			rights_tun_advice(error));
	else if (error < 0)
		fail(interface, error, "ask the kernel");
	else
		log_info("data plane: %s", interface->kind->plane);
	return error;
}

static const char *own_alias(const struct interface *interface)
{
	return interface->aliases[interface->config->tunnel];
}

/* Whether a link of any kind is this client's. 0, -ENOENT, or -errno. */
static int check_own(struct interface *interface, const struct link *link)
{
	int error = -ENOENT;

	for (size_t i = 0; i < sizeof all_kinds / sizeof *all_kinds && error == -ENOENT; i++)
		if (strcmp(link->kind, all_kinds[i]->link_kind) == 0)
			error = all_kinds[i]->check_own(interface, link);
	return error;
}

static bool is_of_some_kind(const struct link *link)
{
	bool found = false;

	for (size_t i = 0; i < sizeof all_kinds / sizeof *all_kinds; i++)
		found |= strcmp(link->kind, all_kinds[i]->link_kind) == 0;
	return found;
}

/* Whether it has neither been given a key nor been used, by a client that was killed first. */
static bool is_half_made(const struct interface *interface, const struct link *link)
{
	return is_of_some_kind(link) && (link->flags & IFF_UP) == 0 &&
	       (*link->alias == '\0' || interface_bears_alias(interface, link)) &&
	       creation_marker_exists(link->name);
}

/*
 * Looks for an interface of the name. One of this client's is remembered; another is -EEXIST. One
 * of this client's that is of no use now, as it was made for another kind of tunnel, goes.
 */
static int claim(struct interface *interface)
{
	struct link link;
	int error = link_get(interface->route, interface->config->interface, &link);

	interface->ifindex = 0;
	if (error == -ENODEV)
		return 0;
	if (error == 0)
		error = check_own(interface, &link);
	if (error == -ENOENT && is_half_made(interface, &link)) {
		log_info("%s: removing an earlier client's, which was not finished", link.name);
		return fail(interface, link_delete(interface->route, link.ifindex), "remove it");
	}
	if (error == -ENOENT) {
		log_error("there is an interface %s already (%s), which is not this client's: give "
			  "another name with --interface",
			link.name, *link.kind ? link.kind : "hardware");
		return -EEXIST;
	}
	if (error < 0)
		return fail(interface, error, "inspect the interface of that name");
	if (strcmp(link.kind, interface->kind->link_kind) != 0 ||
		(*link.alias && strcmp(link.alias, own_alias(interface)) != 0)) {
		log_info("%s: removing an earlier client's, of another kind", link.name);
		return fail(interface, link_delete(interface->route, link.ifindex), "remove it");
	}
	log_info("%s: taking over an earlier client's", link.name);
	interface->ifindex = link.ifindex;
	return 0;
}

/* They name the kind of tunnel and, as far as there is room, the client's public key. */
static int write_aliases(struct interface *interface)
{
	struct key public_key;
	int error = key_derive_public(interface->private_key, &public_key);

	if (error < 0)
		return error;
	snprintf(interface->aliases[TUNNEL_WIREGUARD], LINK_ALIAS_SIZE, CLIENT_ALIAS " %.18s",
		key_text(&public_key).s);
	snprintf(interface->aliases[TUNNEL_IPIP], LINK_ALIAS_SIZE, CLIENT_ALIAS "-ipip %.13s",
		key_text(&public_key).s);
	return 0;
}

static bool has_own_namespace(const struct interface *interface)
{
	return interface->config->netns != NULL;
}

static int open_netlinks(struct interface *interface)
{
	int error;

	if (has_own_namespace(interface)) {
		command_netns_take_netlink(
			interface->config->netns, &interface->route, &interface->generic);
		return netlink_open(NETLINK_ROUTE, &interface->outside);
	}
	error = netlink_open(NETLINK_ROUTE, &interface->route);
	interface->outside = interface->route;
	return error < 0 ? error : netlink_open(NETLINK_GENERIC, &interface->generic);
}

/* Of one that is to be moved away, the host has at the most what a client left that was killed
 * before it had moved it. */
static int claim_outside(struct interface *interface)
{
	struct link link;
	int error = link_get(interface->outside, interface->config->interface, &link);

	if (error == -ENODEV)
		return 0;
	if (error < 0)
		return fail(interface, error, "inspect the interface of that name");
	if (is_half_made(interface, &link))
		return fail(interface, link_delete(interface->outside, link.ifindex), "remove it");
	log_error("there is an interface %s already, which is in the way: `ip link delete %s` "
		  "removes it",
		link.name, link.name);
	return -EEXIST;
}

int interface_open(const struct client_config *config, const struct key *private_key,
	struct interface **result)
{
	struct interface *interface = calloc(1, sizeof *interface);
	int error;

	if (!interface)
		return -ENOMEM;
	interface->config = config;
	interface->private_key = private_key;
	error = open_netlinks(interface);
	if (error == 0)
		error = write_aliases(interface);
	if (error < 0)
		log_error("cannot talk to the kernel: %s", strerror(-error));
	if (error == 0)
		error = choose_kind(interface);
	if (error == 0)
		error = has_own_namespace(interface) ? claim_outside(interface) : claim(interface);
	if (error < 0) {
		interface_close(interface, true);
		return error;
	}
	*result = interface;
	return 0;
}

/* Finds the interface as it was left, or finds out that it is gone or that another took its place;
 * removes one that does not fit the tunnel. */
static int find(struct interface *interface, const struct tunnel *tunnel)
{
	struct link link;
	int error = link_get(interface->route, interface->config->interface, &link);

	if (error == 0 && link.ifindex != interface->ifindex) {
		error = claim(interface);
		if (error < 0 || interface->ifindex == 0)
			return error;
		error = link_get(interface->route, interface->config->interface, &link);
	}
	if (error == 0 && !interface->kind->fits(&link, tunnel)) {
		error = link_delete(interface->route, link.ifindex);
		if (error == 0)
			error = -ENODEV;
	}
	if (error == -ENODEV) {
		interface->ifindex = 0;
		return 0;
	}
	return fail(interface, error, "find the interface");
}

/* way: as tunnel_mtu_find() has it. 0 if it cannot be found out. */
static uint32_t mtu_for(
	const struct interface *interface, const struct tunnel *tunnel, uint32_t *way)
{
	uint32_t mtu = interface->config->mtu;

	if (mtu == 0 && tunnel_mtu_find(interface->outside, tunnel, interface->config->tunnel, way,
				&mtu) < 0)
		return 0;
	return mtu;
}

/* From the namespace in which it was made. */
static int move_in(struct interface *interface, struct link *link)
{
	const struct link_change move = {
		.namespace_of = command_netns_pid(interface->config->netns)};
	int error = link_set(interface->outside, link->ifindex, &move);

	return error < 0 ? error : link_get(interface->route, interface->config->interface, link);
}

static int make(struct interface *interface, const struct tunnel *tunnel)
{
	struct link_change change = {.alias = own_alias(interface)};
	struct link link;
	int error = creation_marker_write(interface->config->interface);

	if (error == 0)
		error = interface->kind->make(interface, tunnel);
	if (error == -EEXIST) {
		creation_marker_remove(interface->config->interface);
		log_error("%s: there is another interface of that name or between the same "
			  "addresses, %s and %s: `ip -d link` shows it, and it has to be removed "
			  "first",
			interface->config->interface, ipv4_text(tunnel->local).s,
			ipv4_text(tunnel->server).s);
		return error;
	}
	if (error == 0)
		error = link_get(interface->outside, interface->config->interface, &link);
	/* a device does not see what becomes of its interface in another namespace */
	if (has_own_namespace(interface))
		change.mtu = mtu_for(interface, tunnel, &(uint32_t){0});
	if (error == 0)
		error = link_set(interface->outside, link.ifindex, &change);
	if (error == 0 && has_own_namespace(interface))
		error = move_in(interface, &link);
	if (error < 0)
		return fail(interface, error, "make the interface");
	interface->ifindex = link.ifindex;
	interface->tunnel = (struct tunnel){0};
	interface->mtu = 0;
	return 0;
}

/* What comes out of the tunnel comes from everywhere, which the strict check would not let by: the
 * routes back lead elsewhere. */
static void prepare_settings(const struct interface *interface)
{
	const char *name = interface->config->interface;
	int old, error = sysctl_loosen_rp_filter(name, &old);

	if (error < 0)
		log_warning("cannot loosen net.ipv4.conf.%s.rp_filter to %d: %s", name,
			RP_FILTER_LOOSE, strerror(-error));
	error = sysctl_disable_ipv6(name);
	if (error < 0)
		log_warning("%s: cannot switch off IPv6: %s", name, strerror(-error));
}

int interface_set(struct interface *interface, const struct tunnel *tunnel, bool renew)
{
	static const struct link_change up = {.up = true};
	int error = find(interface, tunnel);

	if (error == 0 && interface->ifindex == 0)
		error = make(interface, tunnel);
	if (error < 0)
		return error;
	if (!has_own_namespace(interface))
		prepare_settings(interface);
	error = fail(interface, interface->kind->configure(interface, tunnel, renew),
		"configure the tunnel");
	if (error == 0)
		creation_marker_remove(interface->config->interface);
	if (error == 0)
		error = fail(interface,
			addressing_set_address(interface->route, interface->ifindex, tunnel),
			"set the address");
	if (error == 0)
		error = fail(interface, link_set(interface->route, interface->ifindex, &up),
			"bring the interface up");
	if (error == 0)
		error = fail(interface,
			addressing_set_route(interface->route, interface->ifindex, tunnel),
			"set the route to the gateway");
	if (error == 0 && has_own_namespace(interface))
		error = fail(interface,
			addressing_set_default_route(interface->route, interface->ifindex),
			"set the default route");
	if (error < 0)
		return error;
	interface->tunnel = *tunnel;
	interface_set_mtu(interface);
	return 0;
}

/* Below the usual least one it is said, as something will not work. */
static void report_mtu(const struct interface *interface, uint32_t way, uint32_t mtu)
{
	const char *name = interface->config->interface;

	if (way == 0)
		log_info("%s: the MTU is %u", name, mtu);
	else if (mtu < MTU_USUAL_MIN)
		log_warning(
			"%s: the MTU is %u, less than %d, as the way to %s has no room for more "
			"than %u bytes",
			name, mtu, MTU_USUAL_MIN, ipv4_text(interface->tunnel.server).s, way);
	else
		log_info("%s: the MTU is %u, as the way to %s has room for %u bytes", name, mtu,
			ipv4_text(interface->tunnel.server).s, way);
}

void interface_set_mtu(struct interface *interface)
{
	uint32_t way = 0, mtu = mtu_for(interface, &interface->tunnel, &way);
	struct link_change change = {0};

	if (mtu == 0 || mtu == interface->mtu)
		return;
	report_mtu(interface, way, mtu);
	interface->mtu = mtu;
	change.mtu = mtu;
	fail(interface, link_set(interface->route, interface->ifindex, &change), "set the MTU");
	if (has_own_namespace(interface) && interface->kind->tell_mtu)
		fail(interface, interface->kind->tell_mtu(interface, mtu),
			"tell the device its MTU");
}

int interface_check(
	const struct interface *interface, const struct tunnel *tunnel, char *why, size_t size)
{
	int error = addressing_check(interface->route, tunnel, why, size);

	return error == -EADDRINUSE ? error : fail(interface, error, "read this host's networks");
}

bool interface_is_up(const struct interface *interface)
{
	struct link link;

	return link_get(interface->route, interface->config->interface, &link) == 0 &&
	       link.ifindex == interface->ifindex && (link.flags & IFF_UP) != 0;
}

uint64_t interface_handshake(struct interface *interface)
{
	uint64_t ns = 0;

	if (!interface->kind->handshake || interface->kind->handshake(interface, &ns) < 0)
		return 0;
	return ns;
}

unsigned int interface_ifindex(const struct interface *interface)
{
	return interface->ifindex;
}

const char *interface_plane(const struct interface *interface)
{
	return interface->kind->plane;
}

void interface_close(struct interface *interface, bool keep)
{
	struct link link;
	int error;

	if (!interface)
		return;
	/* it may have become somebody else's meanwhile */
	if (!keep && interface->ifindex != 0 &&
		link_get(interface->route, interface->config->interface, &link) == 0 &&
		link.ifindex == interface->ifindex) {
		error = link_delete(interface->route, interface->ifindex);
		if (error < 0 && error != -ENODEV)
			fail(interface, error, "remove the interface");
	}
	if (interface->outside != interface->route)
		netlink_close(interface->outside);
	netlink_close(interface->route);
	netlink_close(interface->generic);
	free(interface);
}
