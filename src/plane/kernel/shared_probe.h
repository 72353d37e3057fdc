/* Whether the kernel has what IPIP peers share an interface with (shared.h). Errors have their text
 * kept. */
#pragma once

#include <stdbool.h>

struct kernel_plane;

/* Tries it, which may load modules, at an interface that is gone again afterwards. Returns 0,
 * -ENOSYS with what is missing, or -errno. */
int kernel_shared_probe(struct kernel_plane *kernel);

/* Removes the interface of one who died while it tried; is_dry_run: only looks. Returns whether
 * there was one, or -errno. */
int kernel_shared_remove_probe(struct kernel_plane *kernel, bool is_dry_run);
