/*
 * `vprox clean`: removes what servers have left on this host. Runs in a process of its own, while
 * no server does.
 */
#include "server/clean.h"

#include <dirent.h>
#include <errno.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/unix_address.h"
#include "ipc/holding.h"
#include "ipc/report.h"
#include "netlink/socket.h"
#include "plane/plane.h"
#include "host/bind_address.h"
#include "host/firewall.h"
#include "host/foreign_firewall.h"
#include "host/go_leftovers.h"
#include "server/earlier_holder.h"
#include "server/lock.h"
#include "server/store_files.h"
#include "host/policy_rules.h"

static const char device_sockets[] = "/run/wireguard";
static const char socket_suffix[] = ".sock";

struct cleaning {
	bool dry_run;
	size_t n_found;
	int error; /* the first */
	struct plane_leftover *leftovers; /* of the plane that is being cleaned */
	size_t n_leftovers;
	struct ipv4 *binds; /* that a server has served, as far as its interfaces tell */
	size_t n_binds;
	const struct ipv4 *only; /* of these endpoints; NULL: all there is */
	size_t n_only;
};

/* What one of the parts returned: how many things it found, or what went wrong, logged there. */
static void record(struct cleaning *cleaning, int result)
{
	if (result >= 0)
		cleaning->n_found += (size_t)result;
	else if (cleaning->error == 0)
		cleaning->error = result;
}

static bool is_wanted(const struct cleaning *cleaning, const struct plane_leftover *leftover)
{
	return !cleaning->only || (leftover->has_bind && ipv4_is_among(leftover->bind,
								 cleaning->only, cleaning->n_only));
}

static int keep_leftover(void *context, const struct plane_leftover *leftover)
{
	struct cleaning *cleaning = context;
	struct plane_leftover *leftovers;
	struct ipv4 *binds;

	if (!is_wanted(cleaning, leftover))
		return 0;
	leftovers = reallocarray(
		cleaning->leftovers, cleaning->n_leftovers + 1, sizeof *cleaning->leftovers);
	if (!leftovers)
		return -ENOMEM;
	cleaning->leftovers = leftovers;
	leftovers[cleaning->n_leftovers++] = *leftover;
	if (!leftover->has_bind)
		return 0;
	binds = reallocarray(cleaning->binds, cleaning->n_binds + 1, sizeof *cleaning->binds);
	if (!binds)
		return -ENOMEM;
	cleaning->binds = binds;
	binds[cleaning->n_binds++] = leftover->bind;
	return 0;
}

static int remove_leftover(struct plane *plane, const struct plane_leftover *leftover, bool dry_run)
{
	const struct plane_name name = plane_device_name(leftover->index);
	int error = dry_run ? 0 : plane->ops->remove_all(plane, leftover->index);

	if (error < 0) {
		log_error("cannot remove %s and its tunnels: %s", name.s, plane_error(plane));
		return error;
	}
	log_info("%s %s and its tunnels, of %s (%s data plane)",
		dry_run ? "would remove" : "removed", name.s,
		leftover->has_bind ? ipv4_text(leftover->bind).s : "an unknown address",
		plane->ops->name);
	return 1;
}

/* NULL with errno set: it could not be made. */
static void clean_plane(struct cleaning *cleaning, struct plane *plane)
{
	int error = plane ? 0 : -errno;

	cleaning->n_leftovers = 0;
	if (error == 0)
		error = plane->ops->discover(plane, keep_leftover, cleaning);
	if (error < 0)
		log_error("cannot look for an earlier server's interfaces: %s",
			plane && error != -ENOMEM ? plane_error(plane) : strerror(-error));
	record(cleaning, error);
	for (size_t i = 0; i < cleaning->n_leftovers; i++)
		record(cleaning,
			remove_leftover(plane, &cleaning->leftovers[i], cleaning->dry_run));
	if (plane)
		plane->ops->free(plane);
}

/* Of a server that died at its start. */
static void clean_probe(struct cleaning *cleaning)
{
	struct plane *plane = plane_kernel_new();
	int result = plane ? plane_kernel_remove_probe(plane, cleaning->dry_run) : -errno;

	if (result < 0)
		log_error("cannot %s", plane ? plane_error(plane) : "talk to the kernel");
	else if (result > 0)
		log_info("%s the interface " PLANE_PROBE_NAME,
			cleaning->dry_run ? "would remove" : "removed");
	record(cleaning, result);
	if (plane)
		plane->ops->free(plane);
}

static void clean_routing(struct cleaning *cleaning)
{
	struct netlink *netlink = NULL;
	int error = netlink_open(NETLINK_ROUTE, &netlink);

	if (error < 0) {
		log_error("cannot talk to the kernel: %s", strerror(-error));
		record(cleaning, error);
		return;
	}
	record(cleaning, bind_addresses_clear(
				 netlink, cleaning->binds, cleaning->n_binds, cleaning->dry_run));
	record(cleaning, policy_rules_remove(netlink, cleaning->dry_run));
	netlink_close(netlink);
}

/* As a process leaves it that was killed. */
static bool is_stale(const char *path)
{
	struct sockaddr_un address;
	struct stat file;
	auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || unix_address(path, &address) < 0 || lstat(path, &file) < 0)
		return false;
	/* a folder and any other file refuse to be connected to as well */
	if (!S_ISSOCK(file.st_mode)) {
		log_warning("%s is no socket: left as it is; remove it if nothing needs it", path);
		return false;
	}
	return connect(fd, (struct sockaddr *)&address, sizeof address) < 0 &&
	       errno == ECONNREFUSED;
}

static void clean_socket(struct cleaning *cleaning, const char *path)
{
	if (!is_stale(path))
		return;
	if (!cleaning->dry_run && unlink(path) < 0) {
		int error = -errno;

		log_error("cannot remove the socket %s: %s", path, strerror(-error));
		record(cleaning, error);
		return;
	}
	log_info("%s the socket %s, which nobody listens on",
		cleaning->dry_run ? "would remove" : "removed", path);
	record(cleaning, 1);
}

/* Whether it is the socket of vprox<i>. */
static bool is_device_socket(const char *file, unsigned int *index)
{
	struct plane_name name;
	size_t length = strlen(file);

	if (length <= strlen(socket_suffix) || length - strlen(socket_suffix) >= sizeof name.s ||
		strcmp(file + length - strlen(socket_suffix), socket_suffix) != 0)
		return false;
	snprintf(name.s, sizeof name.s, "%.*s", (int)(length - strlen(socket_suffix)), file);
	return plane_parse_device_name(name.s, index);
}

/* Whether it was the last plane's, the embedded one's, which are those with a socket. */
static bool was_a_leftover(const struct cleaning *cleaning, unsigned int index)
{
	for (size_t i = 0; i < cleaning->n_leftovers; i++)
		if (cleaning->leftovers[i].index == index)
			return true;
	return false;
}

/* A device takes its socket away while it ends: what it has not come to yet is no find. */
static void clean_device_socket(struct cleaning *cleaning, const char *path, unsigned int index)
{
	if (!was_a_leftover(cleaning, index))
		clean_socket(cleaning, path);
	else if (!cleaning->dry_run && is_stale(path))
		unlink(path);
}

static void clean_sockets(struct cleaning *cleaning)
{
	char path[sizeof device_sockets + 1 + sizeof(((struct dirent *)NULL)->d_name)];
	DIR *folder = opendir(device_sockets);
	const struct dirent *entry;
	unsigned int index;

	clean_socket(cleaning, REPORT_SOCKET);
	clean_socket(cleaning, HOLDER_SOCKET);
	clean_socket(cleaning, HOLDER_SOCKET_NEW);
	while (folder && (entry = readdir(folder))) {
		if (!is_device_socket(entry->d_name, &index))
			continue;
		snprintf(path, sizeof path, "%s/%s", device_sockets, entry->d_name);
		clean_device_socket(cleaning, path, index);
	}
	if (folder)
		closedir(folder);
}

/* In the order of a server's own end: the firewall goes after the tunnels it guards. */
static int clean_all(bool dry_run)
{
	struct cleaning cleaning = {.dry_run = dry_run};

	record(&cleaning, earlier_holder_clean(dry_run));
	clean_plane(&cleaning, plane_kernel_new());
	clean_plane(&cleaning, plane_embedded_new());
	clean_probe(&cleaning);
	clean_routing(&cleaning);
	record(&cleaning, foreign_firewall_remove(dry_run));
	record(&cleaning, go_leftovers_remove(dry_run));
	record(&cleaning, firewall_clear(dry_run));
	clean_sockets(&cleaning);
	record(&cleaning, store_files_clear(dry_run));
	free(cleaning.leftovers);
	free(cleaning.binds);
	return cleaning.error < 0 ? cleaning.error : (int)cleaning.n_found;
}

int clean_tunnels(const struct ipv4 *binds, size_t n, bool dry_run)
{
	struct cleaning cleaning = {.dry_run = dry_run, .only = binds, .n_only = n};

	clean_plane(&cleaning, plane_kernel_new());
	clean_plane(&cleaning, plane_embedded_new());
	free(cleaning.leftovers);
	free(cleaning.binds);
	return cleaning.error;
}

int clean_host(bool dry_run)
{
	auto_close int lock = lock_out_servers("stop it, and it clears up itself");

	return lock < 0 ? lock : clean_all(dry_run);
}
