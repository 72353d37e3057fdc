/*
 * Deletes entries of the kernel's connection tracking while it reads them, in a thread of the
 * broker's that does nothing else; and reads what the kernel counts, in the broker.
 */
#include "netlink/conntrack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>

#include "netlink/attribute.h"
#include "netlink/netfilter.h"
#include "netlink/request.h"
#include "netlink/socket.h"

enum {
	/* Deletions in one request. Each takes some 110 bytes of NETLINK_REQUEST_SIZE. */
	DELETION_BATCH = 100,
};

static void add_message(struct netlink_request *request, enum cntl_msg_types type)
{
	netfilter_add(request, NFNL_SUBSYS_CTNETLINK, (uint16_t)type, 0, AF_INET);
}

static void copy_attribute(struct netlink_request *request, const struct nlattr *attribute)
{
	netlink_put(request, attribute->nla_type, mnl_attr_get_payload(attribute),
		mnl_attr_get_payload_len(attribute));
}

bool conntrack_decode_tuple(
	const struct nlattr *tuple, struct ipv4 addresses[CONNTRACK_TUPLE_ADDRESSES])
{
	const struct nlattr *parts[CTA_TUPLE_IP + 1], *ip[CTA_IP_V4_DST + 1];

	attributes_of_nest(tuple, parts, sizeof parts / sizeof *parts);
	attributes_of_nest(parts[CTA_TUPLE_IP], ip, sizeof ip / sizeof *ip);
	return attribute_ipv4(ip[CTA_IP_V4_SRC], &addresses[0]) &&
	       attribute_ipv4(ip[CTA_IP_V4_DST], &addresses[1]);
}

bool conntrack_decode(const struct nlmsghdr *message, struct conntrack_entry *entry)
{
	const struct nlattr *table[CTA_ZONE + 1];

	if (message->nlmsg_type != (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW))
		return false;
	attributes_of_message(
		message, sizeof(struct nfgenmsg), table, sizeof table / sizeof *table);
	entry->tuple = table[CTA_TUPLE_ORIG];
	entry->id = table[CTA_ID];
	entry->zone = table[CTA_ZONE];
	return entry->id && conntrack_decode_tuple(entry->tuple, entry->addresses) &&
	       conntrack_decode_tuple(
		       table[CTA_TUPLE_REPLY], entry->addresses + CONNTRACK_TUPLE_ADDRESSES);
}

struct pass {
	conntrack_match_fn *match;
	void *context;
	struct conntrack_result *result;
	struct netlink *deleting; /* a socket beside the one that the dump comes by */
	struct netlink_request deletions;
	int error; /* the first deletion's that failed */
};

static void send_deletions(struct pass *pass)
{
	int errors[NETLINK_REQUEST_MESSAGES];
	size_t n = pass->deletions.count;

	if (n == 0)
		return;
	netlink_transact(pass->deleting, &pass->deletions, errors, NULL, NULL);
	for (size_t i = 0; i < n; i++) {
		if (errors[i] == 0)
			pass->result->n_deleted++;
		else if (errors[i] != -ENOENT && pass->error == 0)
			pass->error = errors[i];
	}
	netlink_request_init(&pass->deletions);
}

static void add_deletion(struct pass *pass, const struct conntrack_entry *entry)
{
	add_message(&pass->deletions, IPCTNL_MSG_CT_DELETE);
	copy_attribute(&pass->deletions, entry->tuple);
	copy_attribute(&pass->deletions, entry->id);
	if (entry->zone)
		copy_attribute(&pass->deletions, entry->zone);
	if (pass->deletions.count == DELETION_BATCH)
		send_deletions(pass);
}

/* All addresses are asked about: who asks may want to know each that has entries. */
static bool is_wanted(const struct pass *pass, const struct conntrack_entry *entry)
{
	bool wanted = false;

	for (size_t i = 0; i < sizeof entry->addresses / sizeof *entry->addresses; i++)
		wanted |= pass->match(pass->context, entry->addresses[i]);
	return wanted;
}

static int handle_entry(void *context, size_t number, const struct nlmsghdr *message)
{
	struct pass *pass = context;
	struct conntrack_entry entry;

	(void)number;
	if (!conntrack_decode(message, &entry))
		return 0;
	pass->result->n_entries++;
	if (is_wanted(pass, &entry))
		add_deletion(pass, &entry);
	return 0;
}

static int dump_and_delete(struct netlink *dumping, struct pass *pass)
{
	struct netlink_request request;
	int error;

	netlink_request_init(&request);
	add_message(&request, IPCTNL_MSG_CT_GET);
	error = netlink_dump(dumping, &request, handle_entry, pass);
	send_deletions(pass);
	return error < 0 ? error : pass->error;
}

int conntrack_delete(conntrack_match_fn *match, void *context, struct conntrack_result *result)
{
	struct pass pass = {.match = match, .context = context, .result = result};
	struct netlink *dumping = NULL;
	int error = netlink_open(NETLINK_NETFILTER, &dumping);

	*result = (struct conntrack_result){0};
	netlink_request_init(&pass.deletions);
	if (error == 0)
		error = netlink_open(NETLINK_NETFILTER, &pass.deleting);
	if (error == 0)
		error = dump_and_delete(dumping, &pass);
	netlink_close(pass.deleting);
	netlink_close(dumping);
	return error;
}

/* A message for each CPU. */
static int add_clashes(void *context, size_t number, const struct nlmsghdr *message)
{
	const struct nlattr *table[CTA_STATS_INSERT_FAILED + 1];
	uint64_t *n_clashes = context;
	uint32_t n = 0;

	(void)number;
	attributes_of_message(
		message, sizeof(struct nfgenmsg), table, sizeof table / sizeof *table);
	attribute_u32(table[CTA_STATS_INSERT_FAILED], &n);
	*n_clashes += ntohl(n);
	return 0;
}

int conntrack_count_clashes(uint64_t *n)
{
	struct netlink_request request;
	struct netlink *netlink = NULL;
	int error = netlink_open(NETLINK_NETFILTER, &netlink);

	*n = 0;
	netlink_request_init(&request);
	add_message(&request, IPCTNL_MSG_CT_GET_STATS_CPU);
	if (error == 0)
		error = netlink_dump(netlink, &request, add_clashes, n);
	netlink_close(netlink);
	return error;
}
