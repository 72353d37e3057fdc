/* What the interfaces of a data plane are called: by these names a server knows its own again. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/ipv4.h"

enum {
	PLANE_NAME_SIZE = 16, /* IFNAMSIZ: 15 characters and the final NUL */
};

/* The WireGuard interface of an endpoint: vprox<i>. */
struct plane_name {
	char s[PLANE_NAME_SIZE];
};
struct plane_name plane_device_name(unsigned int index);

/* The interface of one IPIP peer: vp<i>-<n>, n being the distance of its inner address from the
 * gateway. */
struct plane_name plane_ipip_name(unsigned int index, uint32_t offset);

/* The interface that all IPIP peers share with --ipip-mode=shared. */
#define PLANE_SHARED_IPIP_NAME "vprox-ipip"
/* What is tried before: whether the kernel has what that is made of. */
#define PLANE_PROBE_NAME "vprox-probe"
/* With which mark (SO_MARK of socket(7)) the packets come out of it whose outer and inner source
 * belong together: those without it are dropped. */
#define PLANE_SHARED_IPIP_MARK 0x76707270

/* The reverse; false if it is no such name in its shortest form ("vp0-05" is none). */
bool plane_parse_device_name(const char *name, unsigned int *index);
bool plane_parse_ipip_name(const char *name, unsigned int *index, uint32_t *offset);
/* Whether IPIP peers have this interface: one of its own or the one that they share. */
bool plane_is_ipip_name(const char *name);

/* Whether the longest name that a block of this size can need fits into an interface name. */
bool plane_names_fit(unsigned int index, struct prefix block);
