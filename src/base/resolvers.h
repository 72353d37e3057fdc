/* A short list of name servers, plain data that is passed between processes. */
#pragma once

#include <stdint.h>

#include "base/ipv4.h"

enum { RESOLVERS_MAX = 3 }; /* MAXNS of resolv.conf(5): no program asks more of them */

struct resolvers {
	uint32_t n;
	struct ipv4 addresses[RESOLVERS_MAX];
};

/*
 * Appends. Returns 0; -EINVAL if no name server that is reached over a network can have such an
 * address: 0.0.0.0/8, the loopback, link-local, multicast, reserved; -EEXIST if it is there;
 * -ENOSPC if there are as many as there can be.
 */
int resolvers_add(struct resolvers *resolvers, struct ipv4 address);

/* What somebody else has written may hold anything: leaves the first ones that resolvers_add()
 * would have taken. */
void resolvers_check(struct resolvers *resolvers);

struct resolvers_text {
	char s[RESOLVERS_MAX * sizeof "255.255.255.255 "];
};

/* "9.9.9.9 149.112.112.112"; "" if there is none. */
struct resolvers_text resolvers_text(const struct resolvers *resolvers);
