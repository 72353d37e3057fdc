/*
 * Makes a digest of a table: of its flags, chains, rules and sets, and of the elements of those
 * sets that packets do not fill. Runs in the broker and in clients.
 */
#include "nftables/table_digest.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include "base/cleanup.h"
#include "nftables/ruleset_decode.h"
#include "nftables/ruleset_query.h"
#include "netlink/attribute.h"
#include "netlink/socket.h"

_Static_assert(TABLE_DIGEST_SIZE == SHA256_DIGEST_LENGTH, "the header has the same");

/* What a table consists of, kind by kind. Of an answer the attributes are read up to one: behind it
 * some count uses, packets or elements, or will in later kernels. */
static const struct part {
	uint16_t question;
	uint16_t table; /* the attribute that names the table, in question and answers */
	uint16_t last; /* attribute that is read */
} parts[] = {
	{NFT_MSG_GETTABLE, NFTA_TABLE_NAME, NFTA_TABLE_FLAGS},
	{NFT_MSG_GETCHAIN, NFTA_CHAIN_TABLE, NFTA_CHAIN_TYPE},
	{NFT_MSG_GETRULE, NFTA_RULE_TABLE, NFTA_RULE_USERDATA},
	{NFT_MSG_GETSET, NFTA_SET_TABLE, NFTA_SET_EXPRESSIONS},
};

enum {
	MOST_ATTRIBUTES = NFTA_SET_EXPRESSIONS + 1, /* of the parts */
};

struct set_name {
	char s[RULESET_NAME_SIZE];
};

struct table_reading {
	uint8_t family;
	const char *table;
	const struct part *part; /* that is read now */
	EVP_MD_CTX *hash;
	struct set_name *sets; /* that packets do not fill */
	size_t n_sets;
	/* Of all elements together: the kernel lists them in no fixed order. */
	uint8_t elements[TABLE_DIGEST_SIZE];
};

static bool is_apart(const struct nlattr *name)
{
	char text[RULESET_NAME_SIZE];

	return attribute_string(name, text, sizeof text) &&
	       strncmp(text, TABLE_DIGEST_APART, strlen(TABLE_DIGEST_APART)) == 0;
}

/* Keeps the name of a set for its elements to be asked for, unless packets fill it or it is kept
 * apart. */
static int note_set(struct table_reading *reading, const struct nlattr *const *attributes)
{
	struct set_name *sets;
	uint32_t flags = 0;

	attribute_u32(attributes[NFTA_SET_FLAGS], &flags);
	if (ntohl(flags) & NFT_SET_EVAL || is_apart(attributes[NFTA_SET_NAME]))
		return 0;
	sets = realloc(reading->sets, (reading->n_sets + 1) * sizeof *sets);
	if (!sets)
		return -ENOMEM;
	reading->sets = sets;
	attribute_string(attributes[NFTA_SET_NAME], sets[reading->n_sets].s, sizeof sets->s);
	reading->n_sets++;
	return 0;
}

static int read_part(void *context, size_t number, const struct nlmsghdr *message)
{
	const struct nlattr *attributes[MOST_ATTRIBUTES];
	struct table_reading *reading = context;
	const struct part *part = reading->part;
	char name[RULESET_NAME_SIZE];

	(void)number;
	attributes_of_message(message, sizeof(struct nfgenmsg), attributes, part->last + 1U);
	/* The kernel lists the chains of all tables. */
	attribute_string(attributes[part->table], name, sizeof name);
	if (strcmp(name, reading->table) != 0)
		return 0;
	for (size_t i = 0; i <= part->last; i++)
		if (attributes[i])
			EVP_DigestUpdate(reading->hash, attributes[i], attributes[i]->nla_len);
	return part->question == NFT_MSG_GETSET ? note_set(reading, attributes) : 0;
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

static int ask(struct table_reading *reading, const struct part *part)
{
	struct ruleset_query query;
	int error = ruleset_query_open(&query, part->question, reading->family);

	if (error < 0)
		return error;
	reading->part = part;
	netlink_put_string(&query.request, part->table, reading->table);
	error = part->question == NFT_MSG_GETTABLE
			? netlink_transact(query.netlink, &query.request, NULL, read_part, reading)
			: netlink_dump(query.netlink, &query.request, read_part, reading);
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
	int error = 0;

	for (size_t i = 0; error == 0 && i < sizeof parts / sizeof *parts; i++)
		error = ask(reading, &parts[i]);
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
