/* IPv6 policy rules as netlink messages. Runs in the client. */
#include "netlink/rule_ipv6.h"

#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "netlink/attribute.h"
#include "netlink/request.h"
#include "netlink/socket.h"

int rule_ipv6_add(struct netlink *netlink, const struct rule_ipv6 *rule)
{
	const struct fib_rule_port_range ports = {rule->first_port, rule->last_port};
	struct netlink_request request;
	struct fib_rule_hdr *header;

	netlink_request_init(&request);
	header = netlink_add(&request, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, sizeof *header);
	header->family = AF_INET6;
	header->dst_len = rule->to_length;
	header->action = rule->action;
	header->table = rule->table;
	if (rule->to_length > 0)
		netlink_put(&request, FRA_DST, &rule->to, sizeof rule->to);
	if (rule->mark != 0)
		netlink_put_u32(&request, FRA_FWMARK, rule->mark);
	if (rule->mark != 0)
		netlink_put_u32(&request, FRA_FWMASK, rule->mask);
	if (rule->ip_protocol != 0)
		netlink_put_u8(&request, FRA_IP_PROTO, rule->ip_protocol);
	if (rule->first_port != 0)
		netlink_put(&request, FRA_SPORT_RANGE, &ports, sizeof ports);
	netlink_put_u32(&request, FRA_PRIORITY, rule->priority);
	netlink_put_u8(&request, FRA_PROTOCOL, rule->protocol);
	return netlink_execute(netlink, &request);
}

int rule_ipv6_delete(struct netlink *netlink, uint32_t priority, uint8_t protocol)
{
	struct netlink_request request;
	struct fib_rule_hdr *header;

	netlink_request_init(&request);
	header = netlink_add(&request, RTM_DELRULE, 0, sizeof *header);
	header->family = AF_INET6;
	netlink_put_u32(&request, FRA_PRIORITY, priority);
	netlink_put_u8(&request, FRA_PROTOCOL, protocol);
	return netlink_execute(netlink, &request);
}
