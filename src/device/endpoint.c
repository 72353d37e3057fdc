#include "device/endpoint.h"

#include <string.h>

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	if (a->remote.any.sa_family != b->remote.any.sa_family)
		return false;
	switch (a->remote.any.sa_family) {
	case AF_INET:
		return a->remote.v4.sin_port == b->remote.v4.sin_port &&
			a->remote.v4.sin_addr.s_addr == b->remote.v4.sin_addr.s_addr &&
			a->local.v4.s_addr == b->local.v4.s_addr;
	case AF_INET6:
		return a->remote.v6.sin6_port == b->remote.v6.sin6_port &&
			a->remote.v6.sin6_scope_id == b->remote.v6.sin6_scope_id &&
			memcmp(&a->remote.v6.sin6_addr, &b->remote.v6.sin6_addr,
				sizeof a->remote.v6.sin6_addr) == 0 &&
			memcmp(&a->local.v6, &b->local.v6, sizeof a->local.v6) == 0;
	default:
		return true;
	}
}
