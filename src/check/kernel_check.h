/* Whether the kernel has what a server is to ask of it. */
#pragma once

#include "plane/plane.h"

struct disagreements;

/* Adds a disagreement where a server with this --ipip-mode cannot have the kernel's data plane. May
 * load modules. Returns 0 or -ENOMEM. */
int kernel_check(enum ipip_mode ipip_mode, struct disagreements *disagreements);
