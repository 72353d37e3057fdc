/* Makes and sets up a client's interface over netlink. Runs in the client. */
#include "client/interface_kernel.h"

#include <errno.h>
#include <string.h>

#include "client/mark.h"
#include "netlink/genetlink.h"
#include "netlink/wireguard.h"

static int probe_wireguard(struct interface *interface)
{
	int error = genetlink_family(interface->generic, "wireguard", &interface->wireguard);

	return error == -ENOENT ? -EOPNOTSUPP : error;
}

static int make_wireguard(struct interface *interface, const struct tunnel *tunnel)
{
	struct netlink_request request;

	(void)tunnel;
	netlink_request_init(&request);
	link_put_new(&request, interface->config->interface, "wireguard");
	return netlink_execute(interface->outside, &request);
}

static bool fits_always(const struct link *link, const struct tunnel *tunnel)
{
	(void)link;
	(void)tunnel;
	return true;
}

static int check_wireguard(struct interface *interface, const struct link *link)
{
	struct wireguard_device device;
	int error = probe_wireguard(interface);

	if (error == 0)
		error = wireguard_get(
			interface->generic, interface->wireguard, link->ifindex, &device);
	if (error < 0)
		return error;
	if (!key_equal(&device.private_key, interface->private_key))
		error = -ENOENT;
	wireguard_free(&device);
	return error;
}

/* Each time the port is set, the kernel chooses a new one, so it is set once, with the key: that
 * shows whether it was. */
static int set_key(struct interface *interface, const struct wireguard_device *device)
{
	int error = 0;

	if (!key_equal(&device->private_key, interface->private_key))
		error = wireguard_configure(interface->generic, interface->wireguard,
			interface->ifindex, interface->private_key, 0);
	return error < 0 ? error
			 : wireguard_set_mark(interface->generic, interface->wireguard,
				   interface->ifindex, CLIENT_FWMARK);
}

static int configure_wireguard(struct interface *interface, const struct tunnel *tunnel, bool renew)
{
	const struct wireguard_endpoint endpoint = {tunnel->server, tunnel->port, KEEPALIVE_S};
	struct wireguard_device device;
	bool alone = renew;
	int error = wireguard_get(
		interface->generic, interface->wireguard, interface->ifindex, &device);

	if (error < 0)
		return error;
	if (device.n_peers != 1 || !key_equal(&device.peers[0].key, &tunnel->server_key))
		alone = true;
	error = set_key(interface, &device);
	wireguard_free(&device);
	return error < 0 ? error
			 : wireguard_set_client_peer(interface->generic, interface->wireguard,
				   interface->ifindex, &tunnel->server_key, &endpoint, alone);
}

static int get_handshake(struct interface *interface, uint64_t *ns)
{
	struct wireguard_device device;
	int error = wireguard_get(
		interface->generic, interface->wireguard, interface->ifindex, &device);

	if (error < 0)
		return error;
	for (size_t i = 0; i < device.n_peers; i++)
		if (key_equal(&device.peers[i].key, &interface->tunnel.server_key))
			*ns = device.peers[i].handshake_ns;
	wireguard_free(&device);
	return 0;
}

static int probe_ipip(struct interface *interface)
{
	return link_probe_ipip(interface->route);
}

static int make_ipip(struct interface *interface, const struct tunnel *tunnel)
{
	struct netlink_request request;

	netlink_request_init(&request);
	link_put_new_ipip(&request, interface->config->interface, tunnel->local, tunnel->server);
	return netlink_execute(interface->outside, &request);
}

static bool fits_ipip(const struct link *link, const struct tunnel *tunnel)
{
	return ipv4_equal(link->local, tunnel->local) && ipv4_equal(link->remote, tunnel->server);
}

static int check_alias(struct interface *interface, const struct link *link)
{
	return interface_bears_alias(interface, link) ? 0 : -ENOENT;
}

static int configure_ipip(struct interface *interface, const struct tunnel *tunnel, bool renew)
{
	(void)interface;
	(void)tunnel;
	(void)renew;
	return 0; /* it was made with all it needs */
}

const struct interface_kind interface_kernel_wireguard = {
	.plane = "kernel",
	.link_kind = "wireguard",
	.probe = probe_wireguard,
	.make = make_wireguard,
	.fits = fits_always,
	.configure = configure_wireguard,
	.handshake = get_handshake,
	.check_own = check_wireguard,
};

const struct interface_kind interface_kernel_ipip = {
	.plane = "kernel",
	.link_kind = "ipip",
	.probe = probe_ipip,
	.make = make_ipip,
	.fits = fits_ipip,
	.configure = configure_ipip,
	.check_own = check_alias,
};
