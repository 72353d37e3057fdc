/* `vprox list`: prints the WireGuard interfaces of this host, as the Go programs of this name do.
 * One process, which anybody may start. */
#include <limits.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/command.h"
#include "netlink/link.h"
#include "netlink/socket.h"

static const struct command_option options[] = {{0}};

/* A TUN interface is WireGuard's if its device has the control socket that wg(8) looks for. */
static bool is_wireguard(const struct link *link)
{
	char path[PATH_MAX];

	if (strcmp(link->kind, "tun") != 0)
		return strcmp(link->kind, "wireguard") == 0;
	snprintf(path, sizeof path, "/run/wireguard/%s.sock", link->name);
	return access(path, F_OK) == 0;
}

static void print_devices(const struct link *links, size_t n)
{
	size_t n_devices = 0, number = 0;

	for (size_t i = 0; i < n; i++)
		n_devices += is_wireguard(&links[i]);
	printf("found %zu device(s)\n", n_devices);
	for (size_t i = 0; i < n; i++)
		if (is_wireguard(&links[i]))
			printf("device %zu: %s\n", number++, links[i].name);
}

static int list_devices(void)
{
	struct netlink *netlink = NULL;
	struct link *links = NULL;
	size_t n = 0;
	int error = netlink_open(NETLINK_ROUTE, &netlink);

	if (error == 0)
		error = link_dump(netlink, NULL, &links, &n);
	if (error < 0)
		fprintf(stderr, "vprox list: cannot ask the kernel for its interfaces: %s\n",
			strerror(-error));
	else
		print_devices(links, n);
	free(links);
	netlink_close(netlink);
	return error < 0 ? STATUS_FAILED : STATUS_OK;
}

static int run_list(void *configuration, const char *operand)
{
	(void)configuration;
	(void)operand;
	return list_devices();
}

const struct command command_list = {
	.name = "list",
	.summary = "name the WireGuard interfaces of this host",
	.synopsis = "vprox list [OPTION...]",
	.description =
		"Prints how many WireGuard interfaces this host has, and the name of each: the "
		"kernel's, and those of userspace devices.",
	.options = options,
	.run = run_list,
};
