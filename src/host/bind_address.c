/*
 * Adds, renews, keeps and removes the bind addresses. An address is recognised as ours by its mark,
 * or by its lifetime where the kernel keeps no mark. Runs in the broker, every 15 s too, and in
 * `vprox clean`.
 */
#include "host/bind_address.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "netlink/address.h"
#include "netlink/route.h"
#include "host/mark.h"

enum {
	HOST_LENGTH = 32,
	/* Kernels before 5.18 keep no mark. There a kept address lives for 68 years, which is long
	 * enough, and as a number nobody else gives an address it is the mark. */
	KEPT_LIFETIME_S = INT32_MAX,
	KEPT_RECOGNISED_S = KEPT_LIFETIME_S / 2,
};

bool bind_address_is_ours(const struct address *address)
{
	if (address->prefix_length != HOST_LENGTH)
		return false;
	if (address->protocol == SERVER_MARK)
		return true;
	if (address->protocol != ADDRESS_PROTOCOL_NONE || address->valid_s == ADDRESS_FOREVER)
		return false;
	return address->valid_s <= BIND_ADDRESS_LIFETIME_S || address->valid_s >= KEPT_RECOGNISED_S;
}

/* Where the address is now. */
struct holders {
	struct address *ours; /* those of others are counted only */
	size_t n_ours;
	size_t n_others;
};

/* Sorts the dump in place: the array in holders is the caller's to free. */
static int find_holders(struct netlink *netlink, struct ipv4 bind, struct holders *holders)
{
	size_t n;
	int error = address_dump(netlink, 0, &holders->ours, &n);

	holders->n_ours = 0;
	holders->n_others = 0;
	for (size_t i = 0; error == 0 && i < n; i++) {
		if (!ipv4_equal(holders->ours[i].local, bind))
			continue;
		if (bind_address_is_ours(&holders->ours[i]))
			holders->ours[holders->n_ours++] = holders->ours[i];
		else
			holders->n_others++;
	}
	return error;
}

/* The interface's name, for the log. */
static const char *name_of(unsigned int ifindex, char name[IF_NAMESIZE])
{
	return if_indextoname(ifindex, name) ? name : "an interface that is gone";
}

static int set(struct netlink *netlink, struct ipv4 bind, unsigned int ifindex, uint32_t lifetime_s)
{
	struct address address = {
		.ifindex = ifindex,
		.local = bind,
		.prefix_length = HOST_LENGTH,
		.protocol = SERVER_MARK,
		.valid_s = lifetime_s,
		.preferred_s = lifetime_s,
	};

	return address_set(netlink, &address);
}

/* Logs once when it begins to fail, and once when that is over. */
static void log_change(struct bind_address *bind, int error)
{
	struct ipv4_text text = ipv4_text(bind->address);

	if (error == 0 && bind->is_failing)
		log_info("the address %s is there again", text.s);
	else if (error == -ENETUNREACH && !bind->is_failing)
		log_error("cannot add the address %s: there is no default route whose interface it "
			  "could go to; add one, or the address itself (ip address add %s/32 dev "
			  "INTERFACE)",
			text.s, text.s);
	else if (error < 0 && !bind->is_failing)
		log_error("cannot add or renew the address %s: %s", text.s, strerror(-error));
	bind->is_failing = error < 0;
}

/* What it was like before the first call, for bind_address_undo(). */
static void record_before(struct bind_address *bind, const struct holders *holders)
{
	bind->is_added = holders->n_ours + holders->n_others == 0;
	for (size_t i = 0; i < holders->n_ours; i++)
		if (holders->ours[i].valid_s > BIND_ADDRESS_LIFETIME_S)
			bind->was_kept = true;
	bind->is_reconciled = true;
}

enum { OTHERS_SIZE = 160 };

/* The addresses that this host has for others to reach, as far as there is room. */
static void write_others(struct netlink *netlink, struct ipv4 but, char text[OTHERS_SIZE])
{
	static const struct prefix loopback = {{0x7f000000}, 8};
	auto_free struct address *addresses = NULL;
	size_t n = 0, used = 0;

	text[0] = '\0';
	if (address_dump(netlink, 0, &addresses, &n) < 0)
		return;
	for (size_t i = 0; i < n && used + sizeof ", 255.255.255.255" < OTHERS_SIZE; i++)
		if (!ipv4_equal(addresses[i].local, but) &&
			!prefix_contains(loopback, addresses[i].local))
			used += (size_t)snprintf(text + used, OTHERS_SIZE - used, "%s%s",
				used > 0 ? ", " : "", ipv4_text(addresses[i].local).s);
}

/* A cloud's 1:1 NAT is the usual reason: packets never come with the public address there. */
static void log_added(struct netlink *netlink, struct ipv4 bind, const char *name)
{
	char others[OTHERS_SIZE];

	write_others(netlink, bind, others);
	log_warning("added the address %s to %s, as this host did not have it (but %s): in a cloud "
		    "that translates addresses, such as EC2, --ip is the private address",
		ipv4_text(bind).s, name, *others ? others : "none");
}

/* Ours goes where the default route goes. What is elsewhere is removed after that, not before. */
static int renew(struct netlink *netlink, struct ipv4 bind, const struct holders *holders)
{
	char name[IF_NAMESIZE];
	struct route route;
	unsigned int ifindex;
	bool is_there = false;
	int error = route_default(netlink, &route);

	/* Without a default route for a moment, it stays where it is. */
	if (error < 0 && holders->n_ours == 0)
		return error;
	ifindex = error < 0 ? holders->ours[0].ifindex : route.oif;
	for (size_t i = 0; i < holders->n_ours; i++)
		is_there = is_there || holders->ours[i].ifindex == ifindex;
	error = set(netlink, bind, ifindex, BIND_ADDRESS_LIFETIME_S);
	if (error == 0 && !is_there)
		log_added(netlink, bind, name_of(ifindex, name));
	for (size_t i = 0; i < holders->n_ours && error == 0; i++) {
		if (holders->ours[i].ifindex == ifindex)
			continue;
		error = address_delete(netlink, &holders->ours[i]);
		if (error == -EADDRNOTAVAIL)
			error = 0;
	}
	return error;
}

int bind_address_reconcile(struct netlink *netlink, struct bind_address *bind)
{
	struct holders holders = {0};
	int error = find_holders(netlink, bind->address, &holders);

	if (error == 0 && !bind->is_reconciled)
		record_before(bind, &holders);
	/* One that somebody else has added is enough. */
	if (error == 0 && holders.n_others == 0)
		error = renew(netlink, bind->address, &holders);
	log_change(bind, error);
	free(holders.ours);
	return error;
}

/* Whether the kernel has kept our mark on the address. */
static bool has_mark(struct netlink *netlink, struct ipv4 bind, unsigned int ifindex)
{
	auto_free struct address *addresses = NULL;
	size_t n = 0;

	if (address_dump(netlink, ifindex, &addresses, &n) < 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (ipv4_equal(addresses[i].local, bind) && addresses[i].protocol == SERVER_MARK)
			return true;
	return false;
}

static int make_permanent(struct netlink *netlink, struct ipv4 bind, unsigned int ifindex)
{
	int error = set(netlink, bind, ifindex, ADDRESS_FOREVER);

	if (error == 0 && !has_mark(netlink, bind, ifindex))
		error = set(netlink, bind, ifindex, KEPT_LIFETIME_S);
	return error;
}

int bind_address_keep(struct netlink *netlink, struct bind_address *bind)
{
	struct holders holders = {0};
	int error = find_holders(netlink, bind->address, &holders);

	for (size_t i = 0; i < holders.n_ours && error == 0; i++)
		error = make_permanent(netlink, bind->address, holders.ours[i].ifindex);
	if (error < 0)
		log_error("cannot keep the address %s: %s", ipv4_text(bind->address).s,
			strerror(-error));
	free(holders.ours);
	return error;
}

int bind_address_undo(struct netlink *netlink, struct bind_address *bind)
{
	if (bind->is_added)
		return bind_address_remove(netlink, bind);
	return bind->was_kept ? bind_address_keep(netlink, bind) : 0;
}

int bind_address_remove(struct netlink *netlink, struct bind_address *bind)
{
	struct holders holders = {0};
	int error = find_holders(netlink, bind->address, &holders);

	for (size_t i = 0; i < holders.n_ours && error == 0; i++) {
		error = address_delete(netlink, &holders.ours[i]);
		/* Its time may have come. */
		if (error == -EADDRNOTAVAIL)
			error = 0;
	}
	if (error < 0)
		log_error("cannot remove the address %s: %s", ipv4_text(bind->address).s,
			strerror(-error));
	free(holders.ours);
	return error;
}

static bool is_left_over(const struct address *address, const struct ipv4 *binds, size_t n_binds)
{
	if (!bind_address_is_ours(address))
		return false;
	return address->protocol == SERVER_MARK || ipv4_is_among(address->local, binds, n_binds);
}

static int clear(struct netlink *netlink, const struct address *address, bool dry_run)
{
	char name[IF_NAMESIZE];
	int error = dry_run ? 0 : address_delete(netlink, address);

	if (error < 0 && error != -EADDRNOTAVAIL) {
		log_error("cannot remove the address %s: %s", ipv4_text(address->local).s,
			strerror(-error));
		return error;
	}
	log_info("%s the address %s from %s", dry_run ? "would remove" : "removed",
		ipv4_text(address->local).s, name_of(address->ifindex, name));
	return 0;
}

int bind_addresses_clear(
	struct netlink *netlink, const struct ipv4 *binds, size_t n_binds, bool dry_run)
{
	auto_free struct address *addresses = NULL;
	size_t n;
	int n_found = 0;
	int result = address_dump(netlink, 0, &addresses, &n);

	if (result < 0) {
		log_error(
			"cannot look for addresses that a server has added: %s", strerror(-result));
		return result;
	}
	for (size_t i = 0; i < n; i++) {
		int error;

		if (!is_left_over(&addresses[i], binds, n_binds))
			continue;
		n_found++;
		error = clear(netlink, &addresses[i], dry_run);
		result = result < 0 ? result : error;
	}
	return result < 0 ? result : n_found;
}
