/* Tries the planes. Runs in the broker, at its start. */
#include "server/plane_choice.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "plane/plane.h"
#include "server/config.h"

/* Takes a plane if this host can do it. */
static int try_plane(struct plane *plane, struct plane **chosen)
{
	int error = plane ? plane->ops->probe(plane) : -errno;

	*chosen = plane;
	if (!plane)
		log_error("cannot talk to the kernel: %s; allow sockets of AF_NETLINK where a unit "
			  "or a container limits address families",
			strerror(-error));
	return error;
}

static struct plane *new_embedded(const struct server_config *config)
{
	struct plane *plane = plane_embedded_new();

	if (plane && config->device_unit)
		plane_embedded_use_unit(plane, config->device_unit);
	return plane;
}

static struct plane *new_kernel(const struct server_config *config)
{
	struct plane *plane = plane_kernel_new();

	if (plane && config->ipip_mode == IPIP_SHARED)
		plane_kernel_share_ipip(plane);
	return plane;
}

/* In the other plane IPIP peers have no interfaces. */
static int check_ipip_mode(const struct server_config *config, const struct plane *plane)
{
	if (config->ipip_mode != IPIP_SHARED || strcmp(plane->ops->name, "kernel") == 0)
		return 0;
	log_error("--ipip-mode=shared is for --plane=kernel: leave it out, the embedded plane has "
		  "no interface for each IPIP client");
	return -EINVAL;
}

int plane_choose(const struct server_config *config, struct plane **plane)
{
	enum plane_choice choice = config->plane;
	int error = try_plane(
		choice == PLANE_EMBEDDED ? new_embedded(config) : new_kernel(config), plane);

	if (error == -EOPNOTSUPP && choice == PLANE_AUTO) {
		log_info("not the kernel's data plane: %s", plane_error(*plane));
		(*plane)->ops->free(*plane);
		error = try_plane(new_embedded(config), plane);
	}
	if (error < 0) {
		if (*plane)
			log_error("--plane: %s%s", plane_error(*plane),
				error == -EOPNOTSUPP && choice == PLANE_KERNEL
					? ": use --plane=embedded"
					: "");
		return error;
	}
	error = check_ipip_mode(config, *plane);
	if (error < 0)
		return error;
	log_info("data plane: %s", (*plane)->ops->name);
	return 0;
}
