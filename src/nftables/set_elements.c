/* Adds, deletes and reads elements of nftables' sets by netlink, several in one transaction. It
 * blocks until the kernel has answered. Runs in the broker. */
#include "nftables/set_elements.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include "netlink/attribute.h"
#include "netlink/netfilter.h"
#include "netlink/socket.h"
#include "nftables/ruleset_query.h"

enum {
	CHANGE_SIZE = 112, /* bytes of one, of a set with a name of NAME_MAX */
	NAME_MAX = 31,
};

_Static_assert(SET_ELEMENTS_ROOM + 2 < NETLINK_REQUEST_MESSAGES, "a batch has its frame");
_Static_assert(SET_ELEMENTS_ROOM *CHANGE_SIZE < NETLINK_REQUEST_SIZE / 2, "and room for others");

/* net/netfilter/nfnetlink.c, nfnetlink_rcv_batch(): what is between the two is one transaction. */
static void put_frame(struct set_elements_batch *batch, uint16_t type)
{
	struct nfgenmsg *header =
		netfilter_add(&batch->request, NFNL_SUBSYS_NONE, type, 0, NFPROTO_UNSPEC);

	header->res_id = htons(NFNL_SUBSYS_NFTABLES);
	netlink_expect_no_answer(&batch->request);
}

void set_elements_begin(struct set_elements_batch *batch, uint8_t family, const char *table)
{
	batch->family = family;
	batch->table = table;
	netlink_request_init(&batch->request);
	put_frame(batch, NFNL_MSG_BATCH_BEGIN);
}

static void put_key(struct netlink_request *request, const struct set_element *element)
{
	size_t elements = netlink_nest_begin(request, NFTA_SET_ELEM_LIST_ELEMENTS);
	size_t item = netlink_nest_begin(request, NFTA_LIST_ELEM);
	size_t key = netlink_nest_begin(request, NFTA_SET_ELEM_KEY);

	netlink_put(request, NFTA_DATA_VALUE, element->words,
		element->n_words * sizeof *element->words);
	netlink_nest_end(request, key);
	netlink_nest_end(request, item);
	netlink_nest_end(request, elements);
}

static void put_change(struct set_elements_batch *batch, uint16_t type, uint16_t flags,
	const char *set, const struct set_element *element)
{
	netfilter_add(&batch->request, NFNL_SUBSYS_NFTABLES, type, flags, batch->family);
	netlink_put_string(&batch->request, NFTA_SET_ELEM_LIST_TABLE, batch->table);
	netlink_put_string(&batch->request, NFTA_SET_ELEM_LIST_SET, set);
	put_key(&batch->request, element);
}

void set_elements_add(
	struct set_elements_batch *batch, const char *set, const struct set_element *element)
{
	put_change(batch, NFT_MSG_NEWSETELEM, NLM_F_CREATE, set, element);
}

void set_elements_delete(
	struct set_elements_batch *batch, const char *set, const struct set_element *element)
{
	put_change(batch, NFT_MSG_DELSETELEM, 0, set, element);
}

bool set_elements_is_empty(const struct set_elements_batch *batch)
{
	return batch->request.count <= 1;
}

bool set_elements_is_full(const struct set_elements_batch *batch)
{
	return batch->request.count + SET_ELEMENTS_ROOM + 1 > NETLINK_REQUEST_MESSAGES ||
	       batch->request.length + (SET_ELEMENTS_ROOM + 1) * CHANGE_SIZE > NETLINK_REQUEST_SIZE;
}

int set_elements_commit(struct netlink *netlink, struct set_elements_batch *batch)
{
	put_frame(batch, NFNL_MSG_BATCH_END);
	return netlink_execute(netlink, &batch->request);
}

struct element_reading {
	set_element_fn *each;
	void *context;
};

static bool decode_element(const struct nlattr *item, struct set_element *element)
{
	const struct nlattr *attributes[NFTA_SET_ELEM_KEY + 1], *key[NFTA_DATA_VALUE + 1];

	attributes_of_nest(item, attributes, sizeof attributes / sizeof *attributes);
	attributes_of_nest(attributes[NFTA_SET_ELEM_KEY], key, sizeof key / sizeof *key);
	if (!key[NFTA_DATA_VALUE])
		return false;
	element->n_words = (key[NFTA_DATA_VALUE]->nla_len - sizeof *item) / sizeof(uint32_t);
	return element->n_words > 0 && element->n_words <= SET_ELEMENT_WORDS &&
	       attribute_bytes(
		       key[NFTA_DATA_VALUE], element->words, element->n_words * sizeof(uint32_t));
}

static int read_elements(void *context, size_t number, const struct nlmsghdr *message)
{
	const struct nlattr *table[NFTA_SET_ELEM_LIST_ELEMENTS + 1], *item = NULL;
	const struct element_reading *reading = context;
	int error = 0;

	(void)number;
	attributes_of_message(
		message, sizeof(struct nfgenmsg), table, sizeof table / sizeof *table);
	while (error >= 0 && (item = attribute_next(table[NFTA_SET_ELEM_LIST_ELEMENTS], item))) {
		struct set_element element;

		if (decode_element(item, &element))
			error = reading->each(reading->context, &element);
	}
	return error < 0 ? error : 0;
}

int set_elements_read(
	uint8_t family, const char *table, const char *set, set_element_fn *each, void *context)
{
	struct element_reading reading = {each, context};
	struct ruleset_query query;
	int error = ruleset_query_open(&query, NFT_MSG_GETSETELEM, family);

	if (error < 0)
		return error;
	netlink_put_string(&query.request, NFTA_SET_ELEM_LIST_TABLE, table);
	netlink_put_string(&query.request, NFTA_SET_ELEM_LIST_SET, set);
	error = netlink_dump(query.netlink, &query.request, read_elements, &reading);
	ruleset_query_close(&query);
	return error;
}
