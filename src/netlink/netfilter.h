/* Messages of netfilter (linux/netfilter/nfnetlink.h): of connection tracking and of nftables. */
#pragma once

#include <stdint.h>

struct netlink_request;
struct nfgenmsg;

/*
 * netlink_add() of a type of a subsystem (NFNL_SUBSYS_...; NFNL_SUBSYS_NONE: of all of them) about
 * a family (NFPROTO_...). Returns its header, filled in; valid until the next call.
 */
struct nfgenmsg *netfilter_add(struct netlink_request *request, uint8_t subsystem, uint16_t type,
	uint16_t flags, uint8_t family);
