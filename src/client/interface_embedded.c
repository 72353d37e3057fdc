/* Starts a userspace device for a client's interface, and sets it up over its control socket. Runs
 * in the client; the device is a process of its own. */
#include "client/interface_embedded.h"

#include <errno.h>
#include <unistd.h>

#include "client/mark.h"
#include "uapi_client/client_peer.h"
#include "uapi_client/device_process.h"

static int probe(struct interface *interface)
{
	(void)interface;
	return access("/dev/net/tun", R_OK | W_OK) < 0 ? -errno : 0;
}

static int make(struct interface *interface, const struct tunnel *tunnel)
{
	(void)tunnel;
	return device_process_start(interface->config->interface, NULL);
}

static bool fits(const struct link *link, const struct tunnel *tunnel)
{
	(void)link;
	(void)tunnel;
	return true;
}

static int check_own(struct interface *interface, const struct link *link)
{
	int error = client_peer_check_private_key(link->name, interface->private_key);

	return error == -ENODEV ? -ENOENT : error; /* not of a device of ours */
}

static struct client_peer client_peer_of(
	const struct interface *interface, const struct tunnel *tunnel)
{
	return (struct client_peer){.private_key = interface->private_key,
		.mark = CLIENT_FWMARK,
		.server_key = tunnel->server_key,
		.server = tunnel->server,
		.port = tunnel->port,
		.keepalive_s = KEEPALIVE_S,
		.local = tunnel->local};
}

static int configure_wireguard(struct interface *interface, const struct tunnel *tunnel, bool renew)
{
	const char *name = interface->config->interface;
	const struct client_peer peer = client_peer_of(interface, tunnel);

	return client_peer_set(
		name, &peer, renew || client_peer_check_only_key(name, &tunnel->server_key) < 0);
}

static int configure_ipip(struct interface *interface, const struct tunnel *tunnel, bool renew)
{
	const struct client_peer peer = client_peer_of(interface, tunnel);
	bool same = ipv4_equal(interface->tunnel.server, tunnel->server) &&
		    ipv4_equal(interface->tunnel.local, tunnel->local);

	return client_peer_set(interface->config->interface, &peer, renew || !same);
}

static int get_handshake(struct interface *interface, uint64_t *ns)
{
	return client_peer_get_handshake(
		interface->config->interface, &interface->tunnel.server_key, ns);
}

static int tell_mtu(struct interface *interface, uint32_t mtu)
{
	return client_peer_set_mtu(interface->config->interface, mtu);
}

const struct interface_kind interface_embedded_wireguard = {
	.plane = "embedded",
	.link_kind = "tun",
	.probe = probe,
	.make = make,
	.fits = fits,
	.configure = configure_wireguard,
	.handshake = get_handshake,
	.check_own = check_own,
	.tell_mtu = tell_mtu,
};

const struct interface_kind interface_embedded_ipip = {
	.plane = "embedded",
	.link_kind = "tun",
	.probe = probe,
	.make = make,
	.fits = fits,
	.configure = configure_ipip,
	.check_own = check_own,
	.tell_mtu = tell_mtu,
};
