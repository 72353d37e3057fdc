/* Tries what the kernel's data plane needs, as a server does when it is started. Runs in `vprox
 * check`. */
#include "check/kernel_check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "check/disagreements.h"

int kernel_check(enum ipip_mode ipip_mode, struct disagreements *disagreements)
{
	struct disagreement lack = {
		.subject = "the kernel's data plane",
		.remedy = "until then no server starts with it",
	};
	struct plane *plane = plane_kernel_new();
	int error = plane ? 0 : -errno;

	if (plane && ipip_mode == IPIP_SHARED)
		plane_kernel_share_ipip(plane);
	if (plane)
		error = plane->ops->probe(plane);
	if (error < 0)
		snprintf(lack.fault, sizeof lack.fault, "cannot be had: %s",
			plane ? plane_error(plane) : strerror(-error));
	if (plane)
		plane->ops->free(plane);
	return error < 0 ? disagreements_add(disagreements, &lack) : 0;
}
