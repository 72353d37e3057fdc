/* Who had which inner address when. Runs in the process of the flow log. */
#include "flows/owners.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/cleanup.h"

/* A client may send before the broker has told of it, as one does that was there before, and the
 * broker knows whole seconds of those that an earlier server has made. */
static const uint64_t slack_ns = 2000000000;

struct owned_address {
	struct hash_node node;
	struct ipv4 inner;
	struct owner *last; /* never NULL */
};

int owners_init(struct owners *owners)
{
	TAILQ_INIT(&owners->past);
	owners->n_past = 0;
	owners->latest_ns = 0;
	return hash_init(&owners->addresses);
}

void owners_free(struct owners *owners)
{
	hash_for_each (&owners->addresses, node) {
		struct owned_address *address = hash_entry(node, struct owned_address, node);

		while (address->last) {
			struct owner *owner = address->last;

			address->last = owner->before;
			free(owner);
		}
		free(address);
	}
	hash_free(&owners->addresses);
}

static bool is_of_address(const struct hash_node *node, const void *key)
{
	const struct ipv4 *inner = key;

	return ipv4_equal(hash_entry(node, struct owned_address, node)->inner, *inner);
}

static struct owned_address *find_address(const struct owners *owners, struct ipv4 inner)
{
	struct hash_node *node = hash_find(&owners->addresses, &inner, sizeof inner, is_of_address);

	return node ? hash_entry(node, struct owned_address, node) : NULL;
}

/* In quotes, with what JSON has special ways to write; "" of none. */
static int quote(const struct client_name *name, char text[OWNERS_NAME_SIZE])
{
	json_t *string;
	size_t n;

	text[0] = '\0';
	if (client_name_is_none(name))
		return 0;
	string = json_string(name->s);
	n = string ? json_dumpb(string, text, OWNERS_NAME_SIZE - 1, JSON_ENCODE_ANY) : 0;
	json_decref(string);
	if (n == 0 || n >= OWNERS_NAME_SIZE)
		return -ENOMEM;
	text[n] = '\0';
	return 0;
}

static struct owner *new_owner(const char *kind, const struct client_name *name)
{
	char quoted[OWNERS_NAME_SIZE];
	struct owner *owner;
	size_t size;

	if (quote(name, quoted) < 0)
		return NULL;
	size = strlen(quoted) + 1;
	owner = calloc(1, sizeof *owner + size);
	if (!owner)
		return NULL;
	owner->kind = kind;
	memcpy(owner->name, quoted, size);
	return owner;
}

static void forget_address(struct owners *owners, struct owned_address *address)
{
	hash_remove(&owners->addresses, &address->node);
	free(address);
}

/* One that has gone. */
static void forget(struct owners *owners, struct owner *owner)
{
	struct owner **place = &owner->address->last;

	while (*place != owner)
		place = &(*place)->before;
	*place = owner->before;
	if (!owner->address->last)
		forget_address(owners, owner->address);
	TAILQ_REMOVE(&owners->past, owner, entry);
	owners->n_past--;
	free(owner);
}

static void note_time(struct owners *owners, uint64_t when_ns)
{
	if (when_ns > owners->latest_ns)
		owners->latest_ns = when_ns;
}

static void end(struct owners *owners, struct owner *owner, uint64_t when_ns)
{
	owner->until_ns = when_ns > owner->since_ns ? when_ns : owner->since_ns + 1;
	note_time(owners, owner->until_ns);
	TAILQ_INSERT_TAIL(&owners->past, owner, entry);
	if (++owners->n_past > OWNERS_MAX_PAST)
		forget(owners, TAILQ_FIRST(&owners->past));
}

static struct owned_address *add_address(struct owners *owners, struct ipv4 inner)
{
	struct owned_address *address = calloc(1, sizeof *address);

	if (!address)
		return NULL;
	address->inner = inner;
	hash_insert(&owners->addresses, &address->node, &inner, sizeof inner);
	return address;
}

static void set_beginning(struct owner *owner, uint64_t when_ns)
{
	const struct owner *before = owner->before;

	owner->told_ns = when_ns;
	owner->since_ns = when_ns > slack_ns ? when_ns - slack_ns : 0;
	if (before && before->until_ns > owner->since_ns)
		owner->since_ns = before->until_ns;
}

/* The former one must not be forgotten by its end: it is in the list of the next one then. */
static void add_owner(
	struct owners *owners, struct owned_address *address, struct owner *owner, uint64_t when_ns)
{
	struct owner *before = address->last;

	owner->address = address;
	owner->before = before;
	address->last = owner;
	if (before && before->until_ns == 0)
		end(owners, before, when_ns);
	set_beginning(owner, when_ns);
	note_time(owners, when_ns);
}

static bool is_same(const struct owner *a, const struct owner *b)
{
	return a->until_ns == 0 && a->kind == b->kind && strcmp(a->name, b->name) == 0;
}

int owners_begin(struct owners *owners, struct ipv4 inner, const char *kind,
	const struct client_name *name, uint64_t when_ns)
{
	struct owned_address *address = find_address(owners, inner);
	auto_free struct owner *owner = new_owner(kind, name);

	if (!owner)
		return -ENOMEM;
	if (address && is_same(address->last, owner))
		return 0;
	if (!address)
		address = add_address(owners, inner);
	if (!address)
		return -ENOMEM;
	add_owner(owners, address, owner, when_ns);
	owner = NULL;
	return 0;
}

void owners_end(struct owners *owners, struct ipv4 inner, uint64_t when_ns)
{
	struct owned_address *address = find_address(owners, inner);

	if (address && address->last->until_ns == 0)
		end(owners, address->last, when_ns);
}

/* The last one first: it is the first of its address. */
static void forget_who_goes_after(struct owners *owners, uint64_t now_ns)
{
	struct owner *owner = TAILQ_LAST(&owners->past, past_owners);

	while (owner) {
		struct owner *previous = TAILQ_PREV(owner, past_owners, entry);

		if (owner->until_ns > now_ns)
			forget(owners, owner);
		owner = previous;
	}
}

static void have_begun(struct owners *owners, uint64_t now_ns)
{
	hash_for_each (&owners->addresses, node) {
		struct owner *owner = hash_entry(node, struct owned_address, node)->last;

		if (owner->until_ns == 0 && (owner->told_ns > now_ns || owner->since_ns > now_ns))
			set_beginning(owner, owner->told_ns < now_ns ? owner->told_ns : now_ns);
	}
}

void owners_look_at_clock(struct owners *owners, uint64_t now_ns)
{
	if (owners->latest_ns <= now_ns)
		return;
	forget_who_goes_after(owners, now_ns);
	have_begun(owners, now_ns);
	owners->latest_ns = now_ns;
}

/* Who has just come cannot have had a flow of which only the end is known, if that was before. */
static bool had_it(const struct owner *owner, uint64_t start_ns, uint64_t end_ns)
{
	if (start_ns == 0)
		return owner->told_ns <= end_ns;
	return owner->since_ns <= start_ns &&
	       (owner->until_ns == 0 || start_ns <= owner->until_ns + slack_ns);
}

const struct owner *owners_find(
	const struct owners *owners, struct ipv4 inner, uint64_t start_ns, uint64_t end_ns)
{
	const struct owned_address *address = find_address(owners, inner);
	const struct owner *owner = address ? address->last : NULL;

	while (owner && !had_it(owner, start_ns, end_ns))
		owner = owner->before;
	return owner;
}
