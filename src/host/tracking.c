/*
 * Watches how full the kernel's table of tracked connections is, and makes it larger at the start.
 * Runs in the broker: at its start, and every second.
 */
#include "host/tracking.h"

#include <limits.h>
#include <sys/stat.h>

#include "base/log.h"
#include "host/firewall_flows.h"
#include "nftables/nft.h"
#include "host/setting.h"

enum {
	RENEWAL_CALLS = 5, /* the firewall forgets after FIREWALL_CLOSED_S */
	FLOWS_PER_ADDRESS = 32,
	BYTES_PER_FLOW = 512, /* of the kernel's memory, with what hangs on it */
	SHARE_OF_MEMORY = 16, /* one part of so many is for the table at the most */
};

static const char group[] = "net/netfilter";

int tracking_read(struct tracking_load *load)
{
	struct setting count, max;
	int error = setting_read(NULL, group, "nf_conntrack_count", &count);

	*load = (struct tracking_load){0};
	if (error == 0)
		error = setting_read(NULL, group, "nf_conntrack_max", &max);
	if (error < 0)
		return error;
	load->n = (uint32_t)count.value;
	load->max = (uint32_t)max.value;
	return 0;
}

bool tracking_is_full(const struct tracking_load *load, bool was_full)
{
	const uint64_t eighths = UINT64_C(8) * load->n;

	return load->max > 0 && eighths > (was_full ? UINT64_C(5) : UINT64_C(6)) * load->max;
}

static void tell_firewall(bool is_closed)
{
	struct nft_error reason;

	if (nft_run(is_closed ? firewall_close_new_flows : firewall_open_new_flows, &reason) < 0)
		log_error("cannot %s new connections from tunnels: %s",
			is_closed ? "refuse" : "accept", reason.text);
}

static void report(const struct tracking_load *load, bool is_closed)
{
	if (is_closed)
		log_warning("%u of %u connections are tracked: refusing new ones from tunnels, so "
			    "that there is room for this host's own",
			load->n, load->max);
	else
		log_info("%u of %u connections are tracked: accepting new ones from tunnels again",
			load->n, load->max);
}

void tracking_watch(struct tracking_watch *watch)
{
	struct tracking_load load;
	bool is_closed;

	if (tracking_read(&load) < 0)
		return;
	is_closed = tracking_is_full(&load, watch->is_closed);
	if (is_closed != watch->is_closed)
		report(&load, is_closed);
	else if (!is_closed || ++watch->since < RENEWAL_CALLS)
		return;
	tell_firewall(is_closed);
	watch->is_closed = is_closed;
	watch->since = 0;
}

/* Root may write to any file but one of /proc/sys that says that it is not to be written. */
static bool is_writable(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 && (status.st_mode & S_IWUSR);
}

/* Larger tables are powers of two, as the kernel's own default is. */
static uint64_t wanted_size(uint64_t n_addresses, uint64_t memory)
{
	const uint64_t needed = n_addresses * FLOWS_PER_ADDRESS;
	const uint64_t affordable = memory / SHARE_OF_MEMORY / BYTES_PER_FLOW;
	uint64_t size = 1;

	while (size < needed && 2 * size <= affordable && 2 * size <= INT_MAX)
		size *= 2;
	return size;
}

void tracking_make_room(const char *folder, uint64_t n_addresses, uint64_t memory)
{
	const uint64_t size = wanted_size(n_addresses, memory);
	struct setting max, buckets;

	if (setting_read(folder, group, "nf_conntrack_max", &max) < 0 ||
		setting_read(folder, group, "nf_conntrack_buckets", &buckets) < 0)
		return;
	if (max.value < 0 || (uint64_t)max.value >= size)
		return;
	/* Since Linux 5.15 the one is the other unless somebody has set it. */
	if (max.value != buckets.value)
		setting_leave(&max);
	else if (!is_writable(max.path) || !is_writable(buckets.path))
		log_info("nf_conntrack_max is %d, and only the host's own network namespace can "
			 "raise it",
			max.value);
	else {
		setting_change(&buckets, (int)size);
		setting_change(&max, (int)size);
	}
}

void tracking_check_liberal(void)
{
	struct setting liberal;

	if (setting_read(NULL, group, "nf_conntrack_tcp_be_liberal", &liberal) < 0 ||
		liberal.value != 0)
		return;
	log_warning("net.netfilter.nf_conntrack_tcp_be_liberal is 0: TCP connections that come to "
		    "this host with an address may end; set it to 1 on all hosts of the fleet");
}
