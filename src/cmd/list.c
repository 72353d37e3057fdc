#include <errno.h>
#include <getopt.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/command.h"
#include "netlink/link.h"
#include "netlink/socket.h"

static const char usage[] =
	"Usage: vprox list [--help]\n"
	"\n"
	"Prints how many WireGuard interfaces this host has, and the name of each.\n";

static const struct option options[] = {
	{"help", no_argument, NULL, 'h'},
	{0},
};

static int list_devices(void)
{
	struct netlink *netlink = NULL;
	struct link *links = NULL;
	size_t n = 0;
	int error = netlink_open(NETLINK_ROUTE, &netlink);

	if (error == 0)
		error = link_dump(netlink, "wireguard", &links, &n);
	if (error < 0) {
		fprintf(stderr, "vprox list: cannot ask the kernel for its interfaces: %s\n",
			strerror(-error));
	} else {
		printf("found %zu device(s)\n", n);
		for (size_t i = 0; i < n; i++)
			printf("device %zu: %s\n", i, links[i].name);
	}
	free(links);
	netlink_close(netlink);
	return error < 0 ? STATUS_FAILED : STATUS_OK;
}

int cmd_list_main(int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option != 'h')
			fputs(usage, stderr);
		else
			fputs(usage, stdout);
		return option == 'h' ? STATUS_OK : STATUS_USAGE;
	}
	if (optind < argc) {
		fputs(usage, stderr);
		return STATUS_USAGE;
	}
	return list_devices();
}
