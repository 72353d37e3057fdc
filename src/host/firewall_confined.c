/*
 * Writes, changes and reads what the table "ip vprox" has of addresses that reach some destinations
 * alone. Runs in the broker.
 */
#include "host/firewall_confined.h"

#include <errno.h>
#include <linux/netfilter.h>

#include "host/confinement.h"
#include "host/egress_policy.h"
#include "host/host_config.h"
#include "netlink/socket.h"
#include "nftables/set_elements.h"
#include "nftables/table_digest.h"

static const char table_name[] = "vprox";
static const char confined_set[] = TABLE_DIGEST_APART "confined";

struct reach_set_name {
	char s[sizeof TABLE_DIGEST_APART "reach_32"];
};

static struct reach_set_name name_of(unsigned int length)
{
	struct reach_set_name name;

	snprintf(name.s, sizeof name.s, TABLE_DIGEST_APART "reach_%u", length % 100);
	return name;
}

static bool is_used(const struct host_config *config)
{
	return config->confinement && config->confinement->shape != 0;
}

/* Text */

static void write_confined_set(FILE *out, const struct confinement *confinement)
{
	const char *before = "\t\telements = { ";

	fprintf(out, "\tset %s {\n\t\ttype ipv4_addr\n", confined_set);
	hash_for_each (&confinement->table, node) {
		fprintf(out, "%s%s", before,
			ipv4_text(hash_entry(node, struct confined, node)->inner).s);
		before = ", ";
	}
	fputs(confinement->table.count > 0 ? " }\n\t}\n" : "\t}\n", out);
}

static void write_pairs_of(
	FILE *out, const struct confined *confined, uint8_t length, const char **before)
{
	for (size_t i = 0; i < confined->n; i++) {
		if (confined->to[i].length != length)
			continue;
		fprintf(out, "%s%s . %s", *before, ipv4_text(confined->inner).s,
			ipv4_text(confined->to[i].address).s);
		*before = ", ";
	}
}

static void write_reach_set(FILE *out, const struct confinement *confinement, uint8_t length)
{
	const char *before = "\t\telements = { ";

	fprintf(out, "\tset %s {\n\t\ttype ipv4_addr . ipv4_addr\n", name_of(length).s);
	hash_for_each (&confinement->table, node)
		write_pairs_of(out, hash_entry(node, struct confined, node), length, &before);
	fputs(confinement->n_of_length[length] > 0 ? " }\n\t}\n" : "\t}\n", out);
}

static bool has_length(const struct confinement *confinement, unsigned int length)
{
	return confinement->shape >> length & 1;
}

static void write_rules(
	FILE *out, const struct confinement *confinement, const char *own, const char *other)
{
	for (uint8_t length = CONFINEMENT_LENGTHS; length-- > 0;)
		if (has_length(confinement, length))
			fprintf(out, "\t\tip %s . ip %s & %s @%s return\n", own, other,
				ipv4_text((struct ipv4){prefix_mask(length)}).s, name_of(length).s);
}

void firewall_write_confined(FILE *out, const struct host_config *config)
{
	const struct confinement *confinement = config->confinement;

	if (!is_used(config))
		return;
	write_confined_set(out, confinement);
	for (uint8_t length = 0; length < CONFINEMENT_LENGTHS; length++)
		if (has_length(confinement, length))
			write_reach_set(out, confinement, length);
	fputs("\tchain confined_to {\n", out);
	write_rules(out, confinement, "saddr", "daddr");
	/* A router on the way may have any address, and errors are about flows that there are. */
	fputs("\t\tcounter name refused_destination goto refuse\n"
	      "\t}\n"
	      "\tchain confined_from {\n"
	      "\t\ticmp type { " FIREWALL_ICMP_ERRORS " } return\n",
		out);
	write_rules(out, confinement, "daddr", "saddr");
	fputs("\t\tcounter name refused_unasked drop\n"
	      "\t}\n",
		out);
}

void firewall_write_confined_to(
	FILE *out, const struct host_config *config, const char *match, const char *verb)
{
	if (is_used(config))
		fprintf(out, "\t\t%sip saddr @%s %s confined_to\n", match, confined_set, verb);
}

void firewall_write_confined_from(FILE *out, const struct host_config *config, const char *match)
{
	if (is_used(config))
		fprintf(out, "\t\t%sip daddr @%s jump confined_from\n", match, confined_set);
}

/* Changes */

static struct set_element element_of(struct ipv4 inner)
{
	return (struct set_element){.words = {ipv4_to_net(inner)}, .n_words = 1};
}

static struct set_element pair_of(struct ipv4 inner, struct prefix to)
{
	return (struct set_element){
		.words = {ipv4_to_net(inner), ipv4_to_net(to.address)}, .n_words = 2};
}

/* What the first has and the second has not. */
static void put_difference(struct set_elements_batch *batch, const struct confined *first,
	const struct confined *second,
	void (*put)(struct set_elements_batch *, const char *, const struct set_element *))
{
	const struct set_element address = element_of(first->inner);

	if (!second)
		put(batch, confined_set, &address);
	for (size_t i = 0; i < first->n; i++) {
		const struct set_element pair = pair_of(first->inner, first->to[i]);

		if (!confined_reaches(second, first->to[i]))
			put(batch, name_of(first->to[i].length).s, &pair);
	}
}

/* Returns 0 or -ENOMEM. */
static int put_change(struct set_elements_batch *batch, struct confinement *confinement,
	const struct confining *change)
{
	const struct confined *found = confinement_find(confinement, change->inner);
	const struct confined before = found ? *found : (struct confined){0};
	const struct confined *after;
	int error = confinement_set(confinement, change->inner, change->to, change->n);

	if (error < 0)
		return error;
	after = confinement_find(confinement, change->inner);
	if (after)
		put_difference(batch, after, found ? &before : NULL, set_elements_add);
	if (found)
		put_difference(batch, &before, after, set_elements_delete);
	return 0;
}

int firewall_change_confined(struct netlink *netlink, struct confinement *confinement,
	const struct confining *changes, size_t n)
{
	struct set_elements_batch batch;
	int error = 0, n_commits = 0;

	for (size_t i = 0; i < n && error == 0;) {
		set_elements_begin(&batch, NFPROTO_IPV4, table_name);
		for (; i < n && error == 0 && !set_elements_is_full(&batch); i++)
			error = put_change(&batch, confinement, &changes[i]);
		if (error < 0 || set_elements_is_empty(&batch))
			continue;
		error = set_elements_commit(netlink, &batch);
		n_commits++;
	}
	return error < 0 ? error : n_commits;
}

/* Reading */

struct confined_reading {
	struct confinement *confinement;
	uint8_t length; /* of the prefixes that are read */
};

static int read_address(void *context, const struct set_element *element)
{
	static const struct prefix none[1];
	const struct confined_reading *reading = context;

	if (confinement_find(reading->confinement, ipv4_from_net(element->words[0])))
		return 0;
	return confinement_set(reading->confinement, ipv4_from_net(element->words[0]), none, 0);
}

static int read_pair(void *context, const struct set_element *element)
{
	const struct confined_reading *reading = context;
	const struct ipv4 inner = ipv4_from_net(element->words[0]);
	const struct confined *found = confinement_find(reading->confinement, inner);
	struct prefix to[CONFINEMENT_MAX_PREFIXES + 1];
	size_t n = 0;

	if (!found || element->n_words != 2)
		return 0;
	for (; n < found->n; n++)
		to[n] = found->to[n];
	to[n++] = (struct prefix){ipv4_from_net(element->words[1]), reading->length};
	return confinement_set(reading->confinement, inner, to, n);
}

static int read_set_once(const char *set, set_element_fn *each, struct confined_reading *reading)
{
	int error = -EINTR;

	for (int i = 0; i < NETLINK_DUMP_TRIES && error == -EINTR; i++)
		error = set_elements_read(NFPROTO_IPV4, table_name, set, each, reading);
	return error == -ENOENT ? 0 : error;
}

/* The kernel lists an element twice, or leaves it out, while it gives the set's hash table another
 * size, and does not say so. What is read twice is kept once. */
static int read_set(const char *set, set_element_fn *each, struct confined_reading *reading)
{
	int error = read_set_once(set, each, reading);

	return error < 0 ? error : read_set_once(set, each, reading);
}

int firewall_read_confined(struct confinement *confinement)
{
	struct confined_reading reading = {.confinement = confinement};
	int error = read_set(confined_set, read_address, &reading);

	if (confinement->table.count == 0)
		return error;
	for (; reading.length < CONFINEMENT_LENGTHS && error == 0; reading.length++)
		error = read_set(name_of(reading.length).s, read_pair, &reading);
	return error;
}

/* Comparing */

enum { COMPARISONS = 5 };

struct confined_comparison {
	const struct confinement *confinement;
	uint8_t length;
	size_t n; /* elements that should be there */
};

static int compare_address(void *context, const struct set_element *element)
{
	struct confined_comparison *comparison = context;

	if (!confinement_find(comparison->confinement, ipv4_from_net(element->words[0])))
		return -ESTALE;
	comparison->n++;
	return 0;
}

static int compare_pair(void *context, const struct set_element *element)
{
	struct confined_comparison *comparison = context;
	const struct prefix to = {ipv4_from_net(element->words[1]), comparison->length};

	if (!confined_reaches(
		    confinement_find(comparison->confinement, ipv4_from_net(element->words[0])),
		    to))
		return -ESTALE;
	comparison->n++;
	return 0;
}

static bool set_has(
	const char *set, set_element_fn *each, struct confined_comparison *comparison, size_t n)
{
	int error = -EINTR;

	/* As above: a number that is another one may be right the next time. */
	for (int i = 0; i < COMPARISONS && (error == -EINTR || (error == 0 && comparison->n != n));
		i++) {
		comparison->n = 0;
		error = set_elements_read(NFPROTO_IPV4, table_name, set, each, comparison);
	}
	return error == 0 && comparison->n == n;
}

enum {
	SETS = 1 +
	       CONFINEMENT_LENGTHS, /* that there can be: of the addresses, and of each length */
};

static bool has_set(const struct confinement *confinement, unsigned int set)
{
	return set == 0 ? confinement->shape != 0 : has_length(confinement, set - 1);
}

static bool is_right(const struct confinement *confinement, unsigned int set)
{
	struct confined_comparison comparison = {.confinement = confinement};

	if (set == 0)
		return set_has(
			confined_set, compare_address, &comparison, confinement->table.count);
	comparison.length = (uint8_t)(set - 1);
	return set_has(
		name_of(set - 1).s, compare_pair, &comparison, confinement->n_of_length[set - 1]);
}

bool firewall_has_confined(const struct confinement *confinement)
{
	for (unsigned int set = 0; set < SETS; set++)
		if (has_set(confinement, set) && !is_right(confinement, set))
			return false;
	return true;
}

bool firewall_has_next_confined(const struct confinement *confinement, unsigned int *next)
{
	for (unsigned int i = 0; i < SETS; i++) {
		const unsigned int set = (*next)++ % SETS;

		if (has_set(confinement, set))
			return is_right(confinement, set);
	}
	return true;
}
