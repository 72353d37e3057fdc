/*
 * What tunnels may reach, and how much of what all share one of them may take: an egress is for the
 * Internet. Plain data, from the command line; firewall_egress.h makes rules of it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ipv4.h"

/* As nft writes them: ICMP's errors (RFC 792) but for redirect and source quench, which nobody
 * needs to send. */
#define FIREWALL_ICMP_ERRORS "destination-unreachable, time-exceeded, parameter-problem"

enum {
	EGRESS_MAX_PREFIXES = 256, /* of each list */
	EGRESS_MAX_PORTS = 64,
	EGRESS_MAX_PROTOCOLS = 32,
};

struct egress_prefixes {
	struct prefix list[EGRESS_MAX_PREFIXES];
	size_t n;
};

struct egress_policy {
	struct egress_prefixes opened; /* --allow-to: of those that are closed by default */
	struct egress_prefixes closed; /* --deny-to: before all others */
	uint16_t host_ports[EGRESS_MAX_PORTS]; /* --allow-to-host: TCP and UDP, host byte order */
	size_t n_host_ports;
	uint8_t protocols[EGRESS_MAX_PROTOCOLS]; /* --allow-protocol: besides the usual ones */
	size_t n_protocols;
	bool allow_link_local;
	unsigned int max_flows_per_peer; /* tracked connections at a time, at least 1 */
};

/*
 * What no tunnel reaches unless it is opened: private networks (RFC 1918), those shared with a
 * provider (RFC 6598), link-local addresses (RFC 3927), and what clouds have their metadata
 * services at: 169.254.169.254 most of them, 100.100.100.200 Alibaba, 192.0.0.192 Oracle (RFC
 * 6890's block), 168.63.129.16 Azure.
 */
void egress_policy_default(const struct egress_policy *policy, struct egress_prefixes *closed);

/* Whether all of a prefix is of what no tunnel reaches, whatever is opened: this host, this
 * network, multicast, broadcast. */
bool egress_policy_never(struct prefix prefix);

/* Appends. Returns 0, or -ENOSPC if there are too many already. */
int egress_prefixes_add(struct egress_prefixes *prefixes, struct prefix prefix);

/* Logs in one line what tunnels may reach. */
void egress_policy_log(const struct egress_policy *policy);
