/*
 * IPv6 beside a tunnel that takes all of IPv4: none, but what stays on a link, what the client asks
 * name servers, and answers to what came from outside. Policy rules say that no other destination
 * can be reached, so that programs fall back to IPv4 at once. Loopback and multicast are in the
 * kernel's local table, which comes first; neighbour discovery asks no rule.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct netlink;

/* How many preferences it takes, from the first on. */
enum { IPV6_BLOCK_PRIORITIES = 3 };

/* Adds what is missing. with_answers: what may be an answer is routed, since something else
 * (block_text.h) lets by only what is one. Returns 0 or -errno; 0, too, where the kernel has no
 * IPv6. */
int ipv6_block_set(struct netlink *netlink, uint32_t priority, bool with_answers);
/* Removes it, if it is there. Returns 0 or -errno. */
int ipv6_block_clear(struct netlink *netlink, uint32_t priority);
