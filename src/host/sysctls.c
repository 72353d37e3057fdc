/*
 * Switches forwarding on and loosens rp_filter, where that is needed. Runs in the broker: at its
 * start, and every 5 s.
 */
#include "host/sysctls.h"

#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <stdbool.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/sysctl.h"
#include "netlink/address.h"
#include "netlink/route.h"
#include "plane/names.h"
#include "host/host_config.h"

static const char general[] = "/proc/sys/net/ipv4/ip_forward";
static const char interfaces[] = "/proc/sys/net/ipv4/conf";
/* Stands for the Internet when the routes are asked: nothing is sent there. */
static const struct ipv4 far_away = {0x08080808};

static struct sysctl_path forwarding_of(const char *interface)
{
	return sysctl_of_interface("ipv4", interface, "forwarding");
}

/* Logs a change, of -errno if it was none, under the name that sysctl(8) knows: net/ipv4/... */
static int report(int result, const char *path, int from, int to)
{
	const char *name = path + strlen("/proc/sys/");

	if (result < 0)
		log_error("cannot change %s from %d to %d: %s", name, from, to, strerror(-result));
	else
		log_info("changed %s from %d to %d", name, from, to);
	return result;
}

/* An interface may vanish meanwhile. */
static int switch_on(const char *path)
{
	int value;
	int error = sysctl_read(path, &value);

	if (error == -ENOENT)
		return 0;
	if (error < 0) {
		log_error("cannot read %s: %s", path, strerror(-error));
		return error;
	}
	return value != 0 ? 0 : report(sysctl_write(path, 1), path, value, 1);
}

static bool is_tunnel(const char *name, const struct host_config *config)
{
	unsigned int index;
	uint32_t offset;

	if (strcmp(name, PLANE_SHARED_IPIP_NAME) == 0)
		return true;
	if (!plane_parse_device_name(name, &index) && !plane_parse_ipip_name(name, &index, &offset))
		return false;
	for (size_t i = 0; i < config->n_endpoints; i++)
		if (config->endpoints[i].index == index)
			return true;
	return false;
}

/* The general switch sets all interfaces; where it was on already, tunnels that are there or those
 * to come ("default") may have been set off. */
static int forward_on_tunnels(const struct host_config *config)
{
	DIR *folder = opendir(interfaces);
	const struct dirent *entry;
	int error = 0;

	if (!folder)
		return -errno;
	while ((entry = readdir(folder)) && error == 0)
		if (strcmp(entry->d_name, "default") == 0 || is_tunnel(entry->d_name, config))
			error = switch_on(forwarding_of(entry->d_name).s);
	closedir(folder);
	return error;
}

static int forward_on(unsigned int ifindex)
{
	char name[IF_NAMESIZE];

	if (!if_indextoname(ifindex, name))
		return 0;
	return switch_on(forwarding_of(name).s);
}

static int loosen_source_check(unsigned int ifindex)
{
	char name[IF_NAMESIZE];
	int old, result;

	if (!if_indextoname(ifindex, name) || strcmp(name, "lo") == 0)
		return 0;
	result = sysctl_loosen_rp_filter(name, &old);
	if (result == 0)
		return 0;
	result = report(
		result, sysctl_of_interface("ipv4", name, "rp_filter").s, old, RP_FILTER_LOOSE);
	return result < 0 ? result : 0;
}

/* Packets to the bind address arrive on the interfaces that hold it, and by the one that its
 * answers leave by. */
static int prepare_interfaces(struct netlink *netlink, struct ipv4 bind,
	const struct address *addresses, size_t n_addresses)
{
	struct route back;
	int no_route = route_lookup(netlink, far_away, bind, &back);
	int error = no_route ? 0 : forward_on(back.oif);

	for (size_t i = 0; i < n_addresses && error == 0; i++) {
		if (!ipv4_equal(addresses[i].local, bind))
			continue;
		error = forward_on(addresses[i].ifindex);
		if (error == 0 && !no_route && back.oif != addresses[i].ifindex)
			error = loosen_source_check(addresses[i].ifindex);
	}
	return error;
}

/* All interfaces that bind addresses' packets come or go by. */
static int prepare_outside(struct netlink *netlink, const struct host_config *config)
{
	auto_free struct address *addresses = NULL;
	size_t n;
	int error = address_dump(netlink, 0, &addresses, &n);

	if (error < 0) {
		log_error("cannot look for the bind addresses: %s", strerror(-error));
		return error;
	}
	for (size_t i = 0; i < config->n_endpoints && error == 0; i++)
		error = prepare_interfaces(netlink, config->endpoints[i].bind, addresses, n);
	return error;
}

int sysctls_prepare(struct netlink *netlink, const struct host_config *config)
{
	int error = switch_on(general);

	if (error == 0)
		error = forward_on_tunnels(config);
	return error < 0 ? error : prepare_outside(netlink, config);
}

static bool is_off(const char *path)
{
	int value;

	return sysctl_read(path, &value) == 0 && value == 0;
}

/* Whoever switches forwarding off does it in general, for interfaces to come, or for those with a
 * name of their own. */
static bool is_forwarding_off(const struct host_config *config)
{
	bool off = is_off(general) || is_off(forwarding_of("default").s);

	for (size_t i = 0; i < config->n_endpoints && !off; i++) {
		struct plane_name name = plane_device_name(config->endpoints[i].index);

		off = is_off(forwarding_of(name.s).s);
	}
	return off;
}

int sysctls_reconcile(struct netlink *netlink, const struct host_config *config)
{
	return is_forwarding_off(config) ? sysctls_prepare(netlink, config)
					 : prepare_outside(netlink, config);
}
