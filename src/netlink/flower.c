/*
 * Filters of the kind flower as netlink messages, and the actions that these have. No state but the
 * request: any thread may call it. Runs in the broker.
 */
#include "netlink/flower.h"

#include <linux/gen_stats.h>
#include <linux/if_ether.h>
#include <linux/netlink.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_gact.h>
#include <linux/tc_act/tc_skbedit.h>
#include <linux/tc_act/tc_tunnel_key.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "netlink/attribute.h"
#include "netlink/request.h"
#include "netlink/socket.h"

enum {
	PRIORITY_FILTERS = 1,
	PRIORITY_DROP = 2,
	HANDLE_DROP = 1, /* the kernel's own choice (net/sched/cls_matchall.c, mall_change()) */
	BARE_CHAIN = 0xffff, /* where no others are */
	FIRST_ACTION = 1, /* the attribute's type is its place */
	KIND_SIZE = 16,
};

static const char kind_flower[] = "flower";
static const char kind_matchall[] = "matchall";

static struct tcmsg *add_header(
	struct netlink_request *request, uint16_t type, uint16_t flags, unsigned int ifindex)
{
	struct tcmsg *header = netlink_add(request, type, flags, sizeof *header);

	header->tcm_family = AF_UNSPEC;
	header->tcm_ifindex = (int)ifindex;
	return header;
}

static uint32_t hook_of(enum flower_direction direction)
{
	return TC_H_MAKE(
		TC_H_CLSACT, direction == FLOWER_RECEIVED ? TC_H_MIN_INGRESS : TC_H_MIN_EGRESS);
}

/* A filter's message up to its kind; the header is the caller's to complete. */
static struct tcmsg *add_filter(struct netlink_request *request, uint16_t type, uint16_t flags,
	const struct flower_place *place)
{
	struct tcmsg *header = add_header(request, type, flags, place->ifindex);

	header->tcm_parent = hook_of(place->direction);
	netlink_put_u32(request, TCA_CHAIN, place->chain);
	return header;
}

static void add_flower(struct netlink_request *request, uint16_t type, uint16_t flags,
	const struct flower_place *place, uint32_t handle)
{
	struct tcmsg *header = add_filter(request, type, flags, place);

	header->tcm_info = TC_H_MAKE(PRIORITY_FILTERS << 16, htons(ETH_P_IP));
	header->tcm_handle = handle;
	netlink_put_string(request, TCA_KIND, kind_flower);
}

void flower_put_bare_filter(struct netlink_request *request, unsigned int ifindex, const char *kind)
{
	const struct flower_place nowhere_else = {ifindex, FLOWER_RECEIVED, BARE_CHAIN};
	struct tcmsg *header =
		add_filter(request, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, &nowhere_else);

	header->tcm_info = TC_H_MAKE(PRIORITY_FILTERS << 16, htons(ETH_P_IP));
	netlink_put_string(request, TCA_KIND, kind);
}

void flower_put_bare_action(struct netlink_request *request, const char *kind)
{
	size_t actions, action;

	netlink_add(request, RTM_NEWACTION, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct tcamsg));
	actions = netlink_nest_begin(request, TCA_ACT_TAB);
	action = netlink_nest_begin(request, FIRST_ACTION);
	netlink_put_string(request, TCA_ACT_KIND, kind);
	netlink_nest_end(request, action);
	netlink_nest_end(request, actions);
}

void flower_put_hook(struct netlink_request *request, unsigned int ifindex)
{
	struct tcmsg *header =
		add_header(request, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, ifindex);

	header->tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
	header->tcm_parent = TC_H_CLSACT;
	netlink_put_string(request, TCA_KIND, "clsact");
}

/* Where the options of a filter's one action begin, and where all that nests them ends. */
struct action {
	size_t actions, action, options;
};

static struct action begin_action(struct netlink_request *request, uint16_t type, const char *kind)
{
	struct action action;

	action.actions = netlink_nest_begin(request, type);
	action.action = netlink_nest_begin(request, FIRST_ACTION);
	netlink_put_string(request, TCA_ACT_KIND, kind);
	action.options = netlink_nest_begin(request, TCA_ACT_OPTIONS);
	return action;
}

static void end_action(struct netlink_request *request, const struct action *action)
{
	netlink_nest_end(request, action->options);
	netlink_nest_end(request, action->action);
	netlink_nest_end(request, action->actions);
}

static void put_gact(struct netlink_request *request, uint16_t type, int verdict)
{
	const struct tc_gact gact = {.action = verdict};
	const struct action action = begin_action(request, type, "gact");

	netlink_put(request, TCA_GACT_PARMS, &gact, sizeof gact);
	end_action(request, &action);
}

static void put_skbedit(struct netlink_request *request, uint32_t mark)
{
	const struct tc_skbedit edit = {.action = TC_ACT_OK};
	const struct action action = begin_action(request, TCA_FLOWER_ACT, "skbedit");

	netlink_put(request, TCA_SKBEDIT_PARMS, &edit, sizeof edit);
	netlink_put_u32(request, TCA_SKBEDIT_MARK, mark);
	end_action(request, &action);
}

static void put_tunnel_key(struct netlink_request *request, const struct flower_peer *peer)
{
	const struct tc_tunnel_key set = {.action = TC_ACT_OK, .t_action = TCA_TUNNEL_KEY_ACT_SET};
	const struct action action = begin_action(request, TCA_FLOWER_ACT, "tunnel_key");

	netlink_put(request, TCA_TUNNEL_KEY_PARMS, &set, sizeof set);
	netlink_put_ipv4(request, TCA_TUNNEL_KEY_ENC_IPV4_SRC, peer->bind);
	netlink_put_ipv4(request, TCA_TUNNEL_KEY_ENC_IPV4_DST, peer->remote);
	netlink_put_u8(request, TCA_TUNNEL_KEY_NO_CSUM, 1);
	end_action(request, &action);
}

static void add_drop(struct netlink_request *request, uint16_t type, uint16_t flags,
	unsigned int ifindex, uint32_t chain)
{
	const struct flower_place place = {ifindex, FLOWER_RECEIVED, chain};
	struct tcmsg *header = add_filter(request, type, flags, &place);

	header->tcm_info = TC_H_MAKE(PRIORITY_DROP << 16, htons(ETH_P_ALL));
	header->tcm_handle = HANDLE_DROP;
	netlink_put_string(request, TCA_KIND, kind_matchall);
}

void flower_put_drop(struct netlink_request *request, unsigned int ifindex, uint32_t chain)
{
	size_t options;

	add_drop(request, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, ifindex, chain);
	options = netlink_nest_begin(request, TCA_OPTIONS);
	put_gact(request, TCA_MATCHALL_ACT, TC_ACT_SHOT);
	netlink_nest_end(request, options);
}

void flower_put_drop_get(struct netlink_request *request, unsigned int ifindex, uint32_t chain)
{
	add_drop(request, RTM_GETTFILTER, 0, ifindex, chain);
}

void flower_put_endpoint(struct netlink_request *request, unsigned int ifindex,
	enum flower_direction direction, const struct flower_endpoint *endpoint)
{
	const struct flower_place start = {ifindex, direction, 0};
	size_t options;

	add_flower(request, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, &start, endpoint->chain);
	options = netlink_nest_begin(request, TCA_OPTIONS);
	netlink_put_u16(request, TCA_FLOWER_KEY_ETH_TYPE, htons(ETH_P_IP));
	/* Without a mask it is the whole address. */
	if (direction == FLOWER_RECEIVED) {
		netlink_put_ipv4(request, TCA_FLOWER_KEY_ENC_IPV4_DST, endpoint->bind);
	} else {
		netlink_put_ipv4(request, TCA_FLOWER_KEY_IPV4_DST, endpoint->block.address);
		netlink_put_ipv4(request, TCA_FLOWER_KEY_IPV4_DST_MASK,
			(struct ipv4){prefix_mask(endpoint->block.length)});
	}
	put_gact(request, TCA_FLOWER_ACT, (int)(TC_ACT_GOTO_CHAIN | endpoint->chain));
	netlink_nest_end(request, options);
}

void flower_put_endpoint_removal(struct netlink_request *request, unsigned int ifindex,
	enum flower_direction direction, uint32_t chain)
{
	const struct flower_place start = {ifindex, direction, 0};

	add_flower(request, RTM_DELTFILTER, 0, &start, chain);
}

void flower_put_peer(struct netlink_request *request, const struct flower_place *place,
	const struct flower_peer *peer, uint32_t mark, uint16_t flags)
{
	size_t options;

	add_flower(request, RTM_NEWTFILTER, NLM_F_CREATE | flags, place, peer->inner.value);
	options = netlink_nest_begin(request, TCA_OPTIONS);
	netlink_put_u16(request, TCA_FLOWER_KEY_ETH_TYPE, htons(ETH_P_IP));
	if (place->direction == FLOWER_RECEIVED) {
		netlink_put_ipv4(request, TCA_FLOWER_KEY_IPV4_SRC, peer->inner);
		netlink_put_ipv4(request, TCA_FLOWER_KEY_ENC_IPV4_SRC, peer->remote);
		put_skbedit(request, mark);
	} else {
		netlink_put_ipv4(request, TCA_FLOWER_KEY_IPV4_DST, peer->inner);
		put_tunnel_key(request, peer);
	}
	netlink_nest_end(request, options);
}

void flower_put_peer_get(
	struct netlink_request *request, const struct flower_place *place, struct ipv4 inner)
{
	add_flower(request, RTM_GETTFILTER, 0, place, inner.value);
}

void flower_put_peer_removal(
	struct netlink_request *request, const struct flower_place *place, struct ipv4 inner)
{
	add_flower(request, RTM_DELTFILTER, 0, place, inner.value);
}

void flower_put_flush(struct netlink_request *request, const struct flower_place *place)
{
	add_filter(request, RTM_DELTFILTER, 0, place);
}

static void decode_bytes(const struct nlattr *stats, uint64_t *bytes)
{
	const struct nlattr *table[TCA_STATS_BASIC + 1];
	/* The kernel's struct gnet_stats_basic begins so. */

	attributes_of_nest(stats, table, sizeof table / sizeof *table);
	attribute_u64(table[TCA_STATS_BASIC], bytes);
}

/* The first action; false if it is of another kind. */
static bool decode_action(
	const struct nlattr *actions, const char *wanted, const struct nlattr **action, size_t n)
{
	const struct nlattr *all[FIRST_ACTION + 1];
	char kind[KIND_SIZE];

	attributes_of_nest(actions, all, sizeof all / sizeof *all);
	attributes_of_nest(all[FIRST_ACTION], action, n);
	attribute_string(action[TCA_ACT_KIND], kind, sizeof kind);
	return strcmp(kind, wanted) == 0;
}

static bool decode_tunnel_key(const struct nlattr *nest, struct flower_peer *peer)
{
	const struct nlattr *options[TCA_TUNNEL_KEY_ENC_IPV4_DST + 1];

	attributes_of_nest(nest, options, sizeof options / sizeof *options);
	return attribute_ipv4(options[TCA_TUNNEL_KEY_ENC_IPV4_SRC], &peer->bind) &&
	       attribute_ipv4(options[TCA_TUNNEL_KEY_ENC_IPV4_DST], &peer->remote);
}

enum { N_OPTIONS = TCA_FLOWER_KEY_ENC_IPV4_DST + 1 };

/* The options of a filter of a kind, n of them; false if it is none: the kernel lists each instance
 * of the kind too, without a handle. */
static bool decode_filter(
	const struct nlmsghdr *message, const char *wanted, const struct nlattr **options, size_t n)
{
	const struct tcmsg *header = message_header(message, sizeof *header);
	const struct nlattr *table[TCA_OPTIONS + 1];
	char kind[KIND_SIZE];

	if (message->nlmsg_type != RTM_NEWTFILTER || !header || header->tcm_handle == 0)
		return false;
	attributes_of_message(message, sizeof *header, table, sizeof table / sizeof *table);
	attribute_string(table[TCA_KIND], kind, sizeof kind);
	attributes_of_nest(table[TCA_OPTIONS], options, n);
	return strcmp(kind, wanted) == 0;
}

static bool decode_flower(const struct nlmsghdr *message, const struct nlattr **options)
{
	return decode_filter(message, kind_flower, options, N_OPTIONS);
}

static uint32_t handle_of(const struct nlmsghdr *message)
{
	const struct tcmsg *header = message_header(message, sizeof *header);

	return header->tcm_handle;
}

static bool decode_received(const struct nlattr *const *options, struct flower_peer *peer)
{
	const struct nlattr *action[TCA_ACT_STATS + 1];

	if (!attribute_ipv4(options[TCA_FLOWER_KEY_IPV4_SRC], &peer->inner) ||
		!attribute_ipv4(options[TCA_FLOWER_KEY_ENC_IPV4_SRC], &peer->remote) ||
		!decode_action(
			options[TCA_FLOWER_ACT], "skbedit", action, sizeof action / sizeof *action))
		return false;
	decode_bytes(action[TCA_ACT_STATS], &peer->bytes);
	return true;
}

static bool decode_sent(const struct nlattr *const *options, struct flower_peer *peer)
{
	const struct nlattr *action[TCA_ACT_STATS + 1];

	if (!attribute_ipv4(options[TCA_FLOWER_KEY_IPV4_DST], &peer->inner) ||
		!decode_action(options[TCA_FLOWER_ACT], "tunnel_key", action,
			sizeof action / sizeof *action) ||
		!decode_tunnel_key(action[TCA_ACT_OPTIONS], peer))
		return false;
	decode_bytes(action[TCA_ACT_STATS], &peer->bytes);
	return true;
}

int flower_decode_peer(const struct nlmsghdr *message, const void *filter, void *item)
{
	const struct flower_place *place = filter;
	const struct nlattr *options[N_OPTIONS];
	struct flower_peer *peer = item;

	*peer = (struct flower_peer){0};
	if (!decode_flower(message, options))
		return 0;
	if (!(place->direction == FLOWER_RECEIVED ? decode_received(options, peer)
						  : decode_sent(options, peer)))
		return 0;
	return handle_of(message) == peer->inner.value;
}

bool flower_decode_drop(const struct nlmsghdr *message, uint64_t *packets)
{
	const struct nlattr *options[TCA_MATCHALL_PCNT + 1];
	/* struct tc_matchall_pcnt is this number alone. */

	return decode_filter(message, kind_matchall, options, sizeof options / sizeof *options) &&
	       attribute_u64(options[TCA_MATCHALL_PCNT], packets);
}

static int decode_endpoint(const struct nlmsghdr *message, const void *filter, void *item)
{
	const struct nlattr *options[N_OPTIONS];
	struct flower_endpoint *endpoint = item;

	(void)filter;
	*endpoint = (struct flower_endpoint){0};
	if (!decode_flower(message, options))
		return 0;
	endpoint->chain = handle_of(message);
	return attribute_ipv4(options[TCA_FLOWER_KEY_ENC_IPV4_DST], &endpoint->bind);
}

static int decode_chain(const struct nlmsghdr *message, const void *filter, void *item)
{
	const struct tcmsg *header = message_header(message, sizeof *header);
	const struct nlattr *table[TCA_CHAIN + 1];

	(void)filter;
	if (message->nlmsg_type != RTM_NEWCHAIN || !header)
		return 0;
	attributes_of_message(message, sizeof *header, table, sizeof table / sizeof *table);
	return attribute_u32(table[TCA_CHAIN], item);
}

int flower_dump_begin(struct netlink *netlink, const struct flower_place *place)
{
	struct netlink_request request;

	netlink_request_init(&request);
	add_filter(&request, RTM_GETTFILTER, 0, place);
	return netlink_dump_begin(netlink, &request);
}

static int dump_filters(struct netlink *netlink, const struct flower_place *place,
	netlink_decode_fn *decode, size_t item_size, void **items, size_t *n)
{
	struct netlink_request request;

	netlink_request_init(&request);
	add_filter(&request, RTM_GETTFILTER, 0, place);
	return netlink_dump_items(netlink, &request, decode, place, item_size, items, n);
}

int flower_dump_peers(struct netlink *netlink, const struct flower_place *place,
	struct flower_peer **peers, size_t *n)
{
	void *items;
	int error = dump_filters(netlink, place, flower_decode_peer, sizeof **peers, &items, n);

	*peers = items;
	return error;
}

int flower_dump_endpoints(struct netlink *netlink, unsigned int ifindex,
	struct flower_endpoint **endpoints, size_t *n)
{
	const struct flower_place start = {ifindex, FLOWER_RECEIVED, 0};
	void *items;
	int error = dump_filters(netlink, &start, decode_endpoint, sizeof **endpoints, &items, n);

	*endpoints = items;
	return error;
}

int flower_dump_chains(struct netlink *netlink, unsigned int ifindex,
	enum flower_direction direction, uint32_t **chains, size_t *n)
{
	struct netlink_request request;
	struct tcmsg *header;
	void *items;
	int error;

	netlink_request_init(&request);
	header = add_header(&request, RTM_GETCHAIN, 0, ifindex);
	header->tcm_parent = hook_of(direction);
	error = netlink_dump_items(
		netlink, &request, decode_chain, NULL, sizeof **chains, &items, n);
	*chains = items;
	return error;
}
