/* Mounts over what would lead look-ups of names past the tunnel. Runs in the first process of the
 * namespace of `vprox exec`, as root. */
#include "client/command_mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/resolvers.h"

#define RESOLV_CONF "/etc/resolv.conf"
#define OWN_RESOLV_CONF RUN_FOLDER "/resolv.conf"
#define OWN_SYS RUN_FOLDER "/sys"

enum { TEXT_SIZE = 256 };

static int fail(const char *tried, const char *what, int error)
{
	log_error("cannot %s %s: %s", tried, what, strerror(-error));
	return error;
}

static int hide(const char *folder)
{
	if (mount("tmpfs", folder, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
		    "mode=0755,size=64k") == 0 ||
		errno == ENOENT || errno == ENOTDIR)
		return 0;
	return fail("hide", folder, -errno);
}

/* Who listens there looks names up from the host's namespace: nsswitch.conf(5). In our own folder
 * there is room for resolv.conf then. */
static int hide_services(void)
{
	static const char *const folders[] = {RUN_FOLDER, "/run/nscd", "/var/run/nscd",
		"/run/systemd/resolve", "/run/avahi-daemon", "/var/lib/sss/pipes"};
	int error = 0;

	for (size_t i = 0; i < sizeof folders / sizeof *folders && error == 0; i++)
		error = hide(folders[i]);
	return error;
}

static int write_resolv_conf(const char *path, const struct resolvers *resolvers)
{
	char text[TEXT_SIZE] = "";
	size_t used = 0;
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644), error;

	if (fd < 0)
		return -errno;
	for (uint32_t i = 0; i < resolvers->n; i++)
		used += (size_t)snprintf(text + used, sizeof text - used, "nameserver %s\n",
			ipv4_text(resolvers->addresses[i]).s);
	error = fchmod(fd, 0644) < 0 ? -errno : file_write_all(fd, text, used);
	close(fd);
	return error;
}

/* The host's may lie in a folder that is hidden by now: then one is made there. */
static int replace_resolv_conf(const char *path, const struct resolvers *resolvers)
{
	int error;

	if (access(path, F_OK) < 0) {
		error = write_resolv_conf(path, resolvers);
		return error < 0 ? fail("write", path, error) : 0;
	}
	error = write_resolv_conf(OWN_RESOLV_CONF, resolvers);
	if (error < 0)
		return fail("write", OWN_RESOLV_CONF, error);
	if (mount(OWN_RESOLV_CONF, path, NULL, MS_BIND, NULL) < 0)
		return fail("mount over", path, -errno);
	return 0;
}

static int mount_over(const char *folder)
{
	char own[PATH_MAX], hosts[PATH_MAX];

	snprintf(own, sizeof own, OWN_SYS "%s", folder);
	snprintf(hosts, sizeof hosts, "/sys%s", folder);
	return mount(own, hosts, NULL, MS_BIND, NULL) < 0 ? -errno : 0;
}

/* A sysfs has the interfaces of the network namespace that it is mounted from: sysfs(5). In this
 * one they are all virtual. The rest of /sys stays the host's, with what is mounted in it. */
static int mount_interfaces(void)
{
	int error;

	if (mount("sysfs", OWN_SYS, "sysfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) <
		0)
		return -errno;
	error = mount_over("/devices/virtual/net");
	if (error == 0)
		error = mount_over("/class/net");
	return umount2(OWN_SYS, MNT_DETACH) < 0 ? -errno : error;
}

/* Without it the command sees names of interfaces that it cannot use. */
static void show_own_interfaces(void)
{
	int error = mkdir(OWN_SYS, 0755) < 0 ? -errno : mount_interfaces();

	if (rmdir(OWN_SYS) < 0 && error == 0)
		error = -errno;
	if (error < 0)
		log_debug(
			"cannot show the command its own interfaces in /sys: %s", strerror(-error));
}

int command_mounts_make(const struct resolvers *resolvers)
{
	char path[PATH_MAX];
	int error;

	if (!realpath(RESOLV_CONF, path))
		return fail("find", RESOLV_CONF ", which must be there to be replaced", -errno);
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return fail("separate", "the mounts", -errno);
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return fail("mount", "/proc", -errno);
	error = hide_services();
	if (error < 0)
		return error;
	show_own_interfaces();
	return replace_resolv_conf(path, resolvers);
}
