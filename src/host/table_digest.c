/*
 * Makes a digest of a table: of its flags, chains, rules and sets, and of the elements of those
 * sets that packets do not fill. Runs in the broker.
 */
#include "host/table_digest.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include "base/cleanup.h"
#include "host/ruleset_decode.h"
#include "host/ruleset_query.h"
#include "netlink/attribute.h"
#include "netlink/socket.h"

_Static_assert(TABLE_DIGEST_SIZE == SHA256_DIGEST_LENGTH, "the header has the same");

struct set_name {
	char s[RULESET_NAME_SIZE];
};

struct table_reading {
	uint8_t family;
	const char *table;
	EVP_MD_CTX *hash;
	struct set_name *sets; /* that packets do not fill */
	size_t n_sets;
	/* Of all elements together: the kernel lists them in no fixed order. */
	uint8_t elements[TABLE_DIGEST_SIZE];
};

static void add(struct table_reading *reading, const struct nlattr *attribute)
{
	if (attribute)
		EVP_DigestUpdate(reading->hash, attribute, attribute->nla_len);
}

/* The attributes of a message up to a type: later kernels may have others, which count. */
static void add_attributes(struct table_reading *reading, const struct nlmsghdr *message,
	const struct nlattr **table, size_t n)
{
	attributes_of_message(message, sizeof(struct nfgenmsg), table, n);
	for (size_t i = 0; i < n; i++)
		add(reading, table[i]);
}

static int read_table(void *context, size_t number, const struct nlmsghdr *message)
{
	const struct nlattr *table[NFTA_TABLE_FLAGS + 1];

	(void)number;
	add_attributes(context, message, table, sizeof table / sizeof *table);
	return 0;
}

/* The kernel lists those of all tables. */
static int read_chain(void *context, size_t number, const struct nlmsghdr *message)
{
	const struct nlattr *table[NFTA_CHAIN_TYPE + 1];
	struct table_reading *reading = context;
	char name[RULESET_NAME_SIZE];

	(void)number;
	attributes_of_message(
		message, sizeof(struct nfgenmsg), table, sizeof table / sizeof *table);
	attribute_string(table[NFTA_CHAIN_TABLE], name, sizeof name);
	if (strcmp(name, reading->table) == 0)
		add_attributes(reading, message, table, sizeof table / sizeof *table);
	return 0;
}

static int read_rule(void *context, size_t number, const struct nlmsghdr *message)
{
	const struct nlattr *table[NFTA_RULE_USERDATA + 1];

	(void)number;
	add_attributes(context, message, table, sizeof table / sizeof *table);
	return 0;
}

static int read_set(void *context, size_t number, const struct nlmsghdr *message)
{
	const struct nlattr *table[NFTA_SET_EXPRESSIONS + 1];
	struct table_reading *reading = context;
	struct set_name *sets;
	uint32_t flags = 0;

	(void)number;
	add_attributes(reading, message, table, sizeof table / sizeof *table);
	attribute_u32(table[NFTA_SET_FLAGS], &flags);
	if (ntohl(flags) & NFT_SET_EVAL)
		return 0;
	sets = realloc(reading->sets, (reading->n_sets + 1) * sizeof *sets);
	if (!sets)
		return -ENOMEM;
	reading->sets = sets;
	attribute_string(table[NFTA_SET_NAME], sets[reading->n_sets].s, sizeof sets->s);
	reading->n_sets++;
	return 0;
}

static int read_elements(void *context, size_t number, const struct nlmsghdr *message)
{
	const struct nlattr *table[NFTA_SET_ELEM_LIST_ELEMENTS + 1], *element = NULL;
	struct table_reading *reading = context;
	uint8_t digest[TABLE_DIGEST_SIZE];

	(void)number;
	attributes_of_message(
		message, sizeof(struct nfgenmsg), table, sizeof table / sizeof *table);
	while ((element = attribute_next(table[NFTA_SET_ELEM_LIST_ELEMENTS], element))) {
		SHA256((const unsigned char *)element, element->nla_len, digest);
		for (size_t i = 0; i < sizeof digest; i++)
			reading->elements[i] ^= digest[i];
	}
	return 0;
}

/* attribute: which one names the table. */
static int ask(
	struct table_reading *reading, uint16_t type, uint16_t attribute, netlink_reply_fn *reply)
{
	struct ruleset_query query;
	int error = ruleset_query_open(&query, type, reading->family);

	if (error < 0)
		return error;
	netlink_put_string(&query.request, attribute, reading->table);
	error = type == NFT_MSG_GETTABLE
			? netlink_transact(query.netlink, &query.request, NULL, reply, reading)
			: netlink_dump(query.netlink, &query.request, reply, reading);
	ruleset_query_close(&query);
	return error;
}

static int ask_for_elements(struct table_reading *reading, const struct set_name *set)
{
	struct ruleset_query query;
	int error = ruleset_query_open(&query, NFT_MSG_GETSETELEM, reading->family);

	if (error < 0)
		return error;
	netlink_put_string(&query.request, NFTA_SET_ELEM_LIST_TABLE, reading->table);
	netlink_put_string(&query.request, NFTA_SET_ELEM_LIST_SET, set->s);
	memset(reading->elements, 0, sizeof reading->elements);
	error = netlink_dump(query.netlink, &query.request, read_elements, reading);
	ruleset_query_close(&query);
	EVP_DigestUpdate(reading->hash, reading->elements, sizeof reading->elements);
	return error;
}

static int read_all(struct table_reading *reading)
{
	int error = ask(reading, NFT_MSG_GETTABLE, NFTA_TABLE_NAME, read_table);

	if (error == 0)
		error = ask(reading, NFT_MSG_GETCHAIN, NFTA_CHAIN_TABLE, read_chain);
	if (error == 0)
		error = ask(reading, NFT_MSG_GETRULE, NFTA_RULE_TABLE, read_rule);
	if (error == 0)
		error = ask(reading, NFT_MSG_GETSET, NFTA_SET_TABLE, read_set);
	for (size_t i = 0; error == 0 && i < reading->n_sets; i++)
		error = ask_for_elements(reading, &reading->sets[i]);
	return error;
}

static int try(uint8_t family, const char *table, uint8_t digest[TABLE_DIGEST_SIZE])
{
	struct table_reading reading = {.family = family, .table = table, .hash = EVP_MD_CTX_new()};
	int error = -ENOMEM;

	if (reading.hash && EVP_DigestInit_ex(reading.hash, EVP_sha256(), NULL) == 1)
		error = read_all(&reading);
	if (error == 0 && EVP_DigestFinal_ex(reading.hash, digest, NULL) != 1)
		error = -ENOMEM;
	EVP_MD_CTX_free(reading.hash);
	free(reading.sets);
	return error;
}

int table_digest(uint8_t family, const char *table, uint8_t digest[TABLE_DIGEST_SIZE])
{
	int error = -EINTR;

	for (int i = 0; i < NETLINK_DUMP_TRIES && error == -EINTR; i++)
		error = try(family, table, digest);
	return error;
}
