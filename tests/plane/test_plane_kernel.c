/*
 * The kernel's data plane on a kernel that has WireGuard and IPIP. Each test has a network
 * namespace of its own. Needs root, iproute2 and wireguard-tools.
 */
#include "addresses.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/rtnetlink.h>

#include "base/cleanup.h"
#include "netlink/attribute.h"
#include "netlink/monitor.h"
#include "plane/kernel/removal.h"
#include "plane/plane.h"

enum {
	N_MAX = 4096, /* peers a dump is kept of */
	N_READ = 600, /* enough for several pieces */
};

struct fixture {
	struct plane *plane;
	struct plane_device *device;
	struct plane_endpoint endpoint;
};

struct dump {
	size_t n;
	struct plane_peer peers[N_MAX];
	struct plane_usage usage[N_MAX];
};

static struct dump dump;

/* Runs a shell command; true if it succeeds. */
__attribute__((format(printf, 1, 2))) static bool shell(const char *format, ...)
{
	char command[1024];
	va_list arguments;
	int status;

	va_start(arguments, format);
	vsnprintf(command, sizeof command, format, arguments);
	va_end(arguments);
	fflush(stdout);
	status = system(command);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	if (!f || unshare(CLONE_NEWNET) < 0 || !shell("ip link set lo up"))
		return -1;
	f->plane = plane_kernel_new();
	f->endpoint = (struct plane_endpoint){
		.bind = ipv4("192.0.2.1"),
		.gateway = ipv4("10.100.0.1"),
		.block = {ipv4("10.100.0.0"), 16},
		.port = 50227,
	};
	*state = f;
	return f->plane ? key_generate_private(&f->endpoint.private_key) : -1;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	if (f->device)
		f->plane->ops->close(f->device, true);
	f->plane->ops->free(f->plane);
	free(f);
	return 0;
}

static void open_device(struct fixture *f)
{
	int error = f->plane->ops->open(f->plane, &f->endpoint, &f->device);

	if (error < 0)
		fail_msg("open: %s", plane_error(f->plane));
}

static void close_device(struct fixture *f, bool keep)
{
	assert_int_equal(f->plane->ops->close(f->device, keep), 0);
	f->device = NULL;
}

static void open_again(struct fixture *f)
{
	close_device(f, true);
	open_device(f);
}

static int keep_peer(void *context, const struct plane_peer *peer, const struct plane_usage *usage)
{
	(void)context;
	assert_true(dump.n < N_MAX);
	dump.peers[dump.n] = *peer;
	dump.usage[dump.n++] = *usage;
	return 0;
}

/* Fills dump; returns the number of peers. */
static size_t look(struct fixture *f)
{
	dump.n = 0;
	if (plane_dump(f->device, keep_peer, NULL) < 0)
		fail_msg("dump: %s", plane_error(f->plane));
	return dump.n;
}

/* The peer's place in dump; N_MAX if it is not there. */
static size_t place_of(const struct plane_peer *peer)
{
	for (size_t i = 0; i < dump.n; i++)
		if (dump.peers[i].kind == peer->kind &&
			ipv4_equal(dump.peers[i].inner, peer->inner) &&
			(peer->kind == PEER_IPIP ? ipv4_equal(dump.peers[i].remote, peer->remote)
						 : key_equal(&dump.peers[i].key, &peer->key)))
			return i;
	return N_MAX;
}

/* The peer that holds the gateway's address plus offset. */
static struct plane_peer ipip_peer(const struct fixture *f, uint32_t offset)
{
	return (struct plane_peer){
		.kind = PEER_IPIP,
		.inner = {f->endpoint.gateway.value + offset},
		.remote = {ipv4("198.18.0.0").value + offset},
	};
}

static struct plane_peer wireguard_peer(const struct fixture *f, uint32_t offset)
{
	struct plane_peer peer = {
		.kind = PEER_WIREGUARD,
		.inner = {f->endpoint.gateway.value + offset},
	};

	/* Any 32 bytes are a public key. */
	memset(peer.key.bytes, 0x5a, KEY_SIZE);
	memcpy(peer.key.bytes, &offset, sizeof offset);
	return peer;
}

static void add(struct fixture *f, const struct plane_peer *peer)
{
	if (f->plane->ops->add(f->device, peer) < 0)
		fail_msg("add: %s", plane_error(f->plane));
}

static int check(struct fixture *f, const struct plane_peer *peer)
{
	return f->plane->ops->check(f->device, peer);
}

static bool error_names(const struct fixture *f, const char *text)
{
	return strstr(plane_error(f->plane), text);
}

static void the_kernel_has_what_the_plane_needs_and_looking_leaves_nothing(void **state)
{
	struct fixture *f = *state;

	if (f->plane->ops->probe(f->plane) < 0)
		fail_msg("probe: %s", plane_error(f->plane));
	/* The module brings its own tunl0. */
	assert_true(shell("test \"$(ip -o link | grep -vc -e lo: -e tunl0)\" = 0"));
}

static void the_device_has_the_names_and_numbers_of_the_contract(void **state)
{
	struct fixture *f = *state;

	f->endpoint.index = 3;
	f->endpoint.port = 50230;
	open_device(f);
	assert_true(shell("ip -d link show vprox3 | grep -q wireguard"));
	assert_true(shell("ip link show vprox3 | grep -q 'alias 192.0.2.1'"));
	assert_true(shell("ip link show up | grep -q vprox3"));
	assert_true(shell("ip -4 addr show vprox3 | grep -q '10.100.0.1/16 scope global'"));
	assert_true(shell("test \"$(wg show vprox3 listen-port)\" = 50230"));
	assert_true(shell("test \"$(wg show vprox3 private-key)\" = %s",
		key_text(&f->endpoint.private_key).s));
}

static void an_ipip_peer_is_a_link_with_a_host_route_and_no_address(void **state)
{
	struct fixture *f = *state;
	struct plane_peer peer = ipip_peer(f, 5);

	open_device(f);
	add(f, &peer);
	assert_true(shell("ip -d link show vp0-5 | grep -q "
			  "'ipip ipip remote 198.18.0.5 local 192.0.2.1 ttl inherit nopmtudisc'"));
	assert_true(shell("ip link show up | grep -q vp0-5"));
	assert_true(shell("test \"$(ip route show dev vp0-5)\" = '10.100.0.6 scope link '"));
	assert_true(shell("test -z \"$(ip -o addr show vp0-5)\""));
	assert_true(shell("test -z \"$(ip -6 route show dev vp0-5 table all)\""));
	assert_int_equal(check(f, &peer), 0);
}

static void a_wireguard_peer_has_one_address_and_writing_it_again_heals_it(void **state)
{
	struct fixture *f = *state;
	struct plane_peer peer = wireguard_peer(f, 7);
	struct key_text key = key_text(&peer.key);

	open_device(f);
	add(f, &peer);
	add(f, &peer);
	assert_true(shell("wg show vprox0 allowed-ips | grep -qx '%s.10.100.0.8/32'", key.s));
	assert_int_equal(check(f, &peer), 0);
	assert_true(shell("wg set vprox0 peer %s remove", key.s));
	assert_int_equal(check(f, &peer), -ENODEV);
	add(f, &peer);
	assert_true(shell("wg show vprox0 allowed-ips | grep -qx '%s.10.100.0.8/32'", key.s));
	/* What somebody added is seen at a look, and gone when the peer is written again. */
	assert_true(shell("wg set vprox0 peer %s allowed-ips 10.9.0.0/16,10.100.0.8/32", key.s));
	assert_int_equal(look(f), 1);
	assert_int_equal(dump.peers[0].inner.value, 0);
	add(f, &peer);
	assert_true(shell("wg show vprox0 allowed-ips | grep -qx '%s.10.100.0.8/32'", key.s));
}

static void an_address_that_cannot_be_a_peers_is_refused(void **state)
{
	static const char *const bad[] = {
		"10.100.0.0", "10.100.0.1", "10.100.255.255", "10.99.0.1", "10.101.0.0"};
	struct fixture *f = *state;
	struct plane_peer nowhere = ipip_peer(f, 2);

	open_device(f);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct plane_peer peer = {
			.kind = PEER_IPIP, .inner = ipv4(bad[i]), .remote = ipv4("198.18.0.1")};

		assert_int_equal(f->plane->ops->add(f->device, &peer), -EINVAL);
	}
	nowhere.remote.value = 0;
	assert_int_equal(f->plane->ops->add(f->device, &nowhere), -EINVAL);
	assert_int_equal(look(f), 0);
}

static void a_link_that_is_there_is_taken_over_and_mended(void **state)
{
	struct fixture *f = *state;
	struct plane_peer peer = ipip_peer(f, 2);

	open_device(f);
	assert_true(shell("ip link add vp0-2 type ipip local 192.0.2.1 remote 198.18.0.2 "
			  "pmtudisc ttl 64"));
	assert_true(shell("ip link set vp0-2 group %d", KERNEL_REMOVAL_GROUP));
	add(f, &peer);
	assert_true(shell("ip link show up | grep vp0-2 | grep -q 'group default'"));
	assert_true(shell("ip route show dev vp0-2 | grep -q 10.100.0.3"));
	assert_int_equal(look(f), 1);
	/* Once more, with nothing to mend. */
	add(f, &peer);
	assert_int_equal(look(f), 1);
}

static void a_foreign_link_in_the_way_is_named_and_left_alone(void **state)
{
	struct fixture *f = *state;
	struct plane_peer second = ipip_peer(f, 2), third = ipip_peer(f, 3),
			  fourth = ipip_peer(f, 4);

	open_device(f);
	assert_true(shell("ip link add vp0-2 type dummy"));
	assert_true(shell("ip link add vp0-3 type ipip local 192.0.2.1 remote 198.18.9.9"));
	assert_true(shell("ip link add mine type ipip local 192.0.2.1 remote 198.18.0.4"));
	assert_int_equal(f->plane->ops->add(f->device, &second), -EEXIST);
	assert_true(error_names(f, "vp0-2") && error_names(f, "dummy"));
	assert_int_equal(f->plane->ops->add(f->device, &third), -EEXIST);
	assert_true(error_names(f, "vp0-3"));
	assert_int_equal(f->plane->ops->add(f->device, &fourth), -EEXIST);
	assert_true(error_names(f, "mine"));
	assert_int_equal(look(f), 0);
	assert_true(shell("(ip link show vp0-2 && ip link show vp0-3 && ip link show mine && "
			  "! ip link show vp0-4) >/dev/null 2>&1"));
	close_device(f, false);
	assert_true(shell(
		"(ip link show vp0-2 && ip link show vp0-3 && ip link show mine) >/dev/null"));
}

static void a_link_that_has_gone_is_not_reported_and_is_made_again(void **state)
{
	struct fixture *f = *state;
	struct plane_peer peer = ipip_peer(f, 2), other = ipip_peer(f, 3);

	open_device(f);
	add(f, &peer);
	add(f, &other);
	assert_int_equal(look(f), 2);
	assert_true(shell("ip link del vp0-2"));
	assert_int_equal(check(f, &peer), -ENODEV);
	assert_int_equal(check(f, &other), 0);
	assert_int_equal(look(f), 1);
	assert_int_equal(place_of(&other), 0);
	add(f, &peer);
	assert_int_equal(check(f, &peer), 0);
	assert_int_equal(look(f), 2);
}

static void counters_of_another_link_with_the_same_number_are_not_taken(void **state)
{
	struct fixture *f = *state;
	struct plane_peer peer = ipip_peer(f, 2), other = ipip_peer(f, 3);
	unsigned int ifindex, other_ifindex;

	open_device(f);
	add(f, &peer);
	add(f, &other);
	ifindex = if_nametoindex("vp0-2");
	other_ifindex = if_nametoindex("vp0-3");
	assert_true(shell("ip link del vp0-2 && ip link add other index %u type dummy", ifindex));
	assert_int_equal(look(f), 1);
	assert_int_equal(place_of(&other), 0);
	/* Not even if it has the name: it may be anything. */
	assert_true(shell("ip link del vp0-3 && ip link add vp0-3 index %u type ipip "
			  "local 192.0.2.1 remote 198.18.8.8",
		other_ifindex));
	assert_int_equal(check(f, &other), -ENODEV);
	assert_int_equal(look(f), 0);
}

static void bytes_are_counted_as_the_peer_sees_them(void **state)
{
	struct fixture *f = *state;
	struct plane_peer peer = ipip_peer(f, 2);

	open_device(f);
	assert_true(shell("ip link add out type dummy && ip addr add 192.0.2.1/24 dev out && "
			  "ip link set out up && ip route add 198.18.0.0/15 dev out"));
	add(f, &peer);
	assert_false(shell("ping -q -c 2 -i 0.2 -W 1 -s 100 10.100.0.3 >/dev/null"));
	assert_int_equal(look(f), 1);
	assert_int_equal(dump.usage[0].received, 0);
	assert_in_range(dump.usage[0].sent, 2 * 128, 2 * 200);
	assert_int_equal(dump.usage[0].outer.value, peer.remote.value);
}

static void a_batch_of_both_kinds_is_removed_and_removing_again_is_no_error(void **state)
{
	struct fixture *f = *state;
	struct plane_peer peers[PLANE_REMOVAL_BATCH], stays = ipip_peer(f, 500);
	int errors[PLANE_REMOVAL_BATCH];

	open_device(f);
	add(f, &stays);
	for (uint32_t i = 0; i < PLANE_REMOVAL_BATCH; i++) {
		peers[i] = i % 2 ? ipip_peer(f, 2 + i) : wireguard_peer(f, 2 + i);
		add(f, &peers[i]);
	}
	assert_int_equal(look(f), PLANE_REMOVAL_BATCH + 1);
	/* One has gone already, one was made again by somebody. */
	assert_true(shell("ip link del vp0-3"));
	assert_true(shell("ip link del vp0-5 && ip link add vp0-5 type ipip local 192.0.2.1 "
			  "remote 198.18.0.5"));
	for (int round = 0; round < 2; round++) {
		memset(errors, 0x55, sizeof errors);
		assert_int_equal(
			f->plane->ops->remove(f->device, peers, PLANE_REMOVAL_BATCH, errors), 0);
		for (size_t i = 0; i < PLANE_REMOVAL_BATCH; i++)
			assert_int_equal(errors[i], 0);
		assert_int_equal(look(f), 1);
		assert_int_equal(place_of(&stays), 0);
	}
	assert_true(shell("test \"$(ip -o link | grep -c vp0-)\" = 1"));
}

static void a_foreign_member_of_the_group_does_not_keep_peers_from_being_removed(void **state)
{
	struct fixture *f = *state;
	struct plane_peer peers[3];
	int errors[3];

	open_device(f);
	for (uint32_t i = 0; i < 3; i++) {
		peers[i] = ipip_peer(f, 2 + i);
		add(f, &peers[i]);
	}
	/* The loopback interface cannot be deleted. */
	assert_true(shell("ip link set lo group %d", KERNEL_REMOVAL_GROUP));
	assert_int_equal(f->plane->ops->remove(f->device, peers, 3, errors), 0);
	assert_int_equal(look(f), 0);
	assert_true(shell("test \"$(ip -o link | grep -c vp0-)\" = 0"));
	assert_true(shell("ip link show lo | grep -q 'group %d'", KERNEL_REMOVAL_GROUP));
}

static void what_was_kept_is_adopted_as_it_was(void **state)
{
	struct fixture *f = *state;
	struct plane_peer ipip = ipip_peer(f, 2), wireguard = wireguard_peer(f, 3);

	open_device(f);
	add(f, &ipip);
	add(f, &wireguard);
	assert_true(shell(
		"wg set vprox0 peer %s endpoint 203.0.113.7:4000", key_text(&wireguard.key).s));
	assert_true(shell("(ip -d link; ip addr; ip route; wg show all dump) >/run/before"));
	open_again(f);
	assert_true(shell("(ip -d link; ip addr; ip route; wg show all dump) >/run/after; "
			  "cmp /run/before /run/after"));
	assert_int_equal(look(f), 2);
	assert_true(place_of(&ipip) < N_MAX && place_of(&wireguard) < N_MAX);
	assert_int_equal(dump.usage[place_of(&wireguard)].outer.value, ipv4("203.0.113.7").value);
	assert_int_equal(check(f, &ipip), 0);
	/* Adopted peers are removed like others. */
	assert_int_equal(f->plane->ops->remove(f->device, &ipip, 1, &(int){0}), 0);
	assert_int_equal(look(f), 1);
}

static void what_a_crash_left_half_made_is_mended(void **state)
{
	struct fixture *f = *state;
	struct plane_peer peers[4];

	open_device(f);
	for (uint32_t i = 0; i < 4; i++) {
		peers[i] = ipip_peer(f, 2 + i);
		add(f, &peers[i]);
	}
	assert_true(shell("ip link set vp0-2 down && ip route del 10.100.0.4 && "
			  "ip link set vp0-4 group %d && ip addr flush dev vprox0 && "
			  "ip link set vprox0 alias '' && ip link set vprox0 down",
		KERNEL_REMOVAL_GROUP));
	open_again(f);
	/* At once: the next removal would take it along. */
	assert_true(shell("test \"$(ip -o link | grep -c 'vp0-.*group default')\" = 4"));
	assert_int_equal(f->plane->ops->reconcile(f->device, PLANE_AT_ONCE), 0);
	assert_int_equal(look(f), 4);
	for (int i = 0; i < 4; i++)
		assert_true(shell("ip route show dev vp0-%d | grep -q 10.100.0.%d", i + 2, i + 3));
	assert_true(shell("test \"$(ip -o link show up | grep -c 'vp0-.*group default')\" = 4"));
	assert_true(shell("ip link show up | grep -q vprox0"));
	assert_true(shell("ip link show vprox0 | grep -q 'alias 192.0.2.1'"));
	assert_true(shell("ip addr show vprox0 | grep -q 10.100.0.1/16"));
}

static void ipip_peers_are_adopted_without_the_wireguard_interface(void **state)
{
	struct fixture *f = *state;
	struct plane_peer peer = ipip_peer(f, 2);

	open_device(f);
	add(f, &peer);
	assert_true(shell("ip link del vprox0"));
	open_again(f);
	assert_int_equal(look(f), 1);
	assert_int_equal(place_of(&peer), 0);
	assert_true(shell("ip link show up | grep -q vprox0"));
}

/* What find() has told of. */
struct finds {
	size_t n;
	struct plane_found all[64];
};

static int keep_found(void *context, const struct plane_found *found)
{
	struct finds *finds = context;

	assert_true(finds->n < sizeof finds->all / sizeof *finds->all);
	finds->all[finds->n++] = *found;
	return 0;
}

static void find_all(struct fixture *f, struct finds *finds)
{
	finds->n = 0;
	if (f->plane->ops->find(f->device, keep_found, finds) < 0)
		fail_msg("find: %s", plane_error(f->plane));
}

static const struct plane_found *found_key(const struct finds *finds, const struct key *key)
{
	for (size_t i = 0; i < finds->n; i++)
		if (key_equal(&finds->all[i].peer.key, key))
			return &finds->all[i];
	fail_msg("%s was not found", key_text(key).s);
	return NULL;
}

static const struct plane_found *found_interface(const struct finds *finds, const char *name)
{
	for (size_t i = 0; i < finds->n; i++)
		if (strcmp(finds->all[i].interface.s, name) == 0)
			return &finds->all[i];
	fail_msg("%s was not found", name);
	return NULL;
}

static void wireguard_peers_are_found_with_their_one_address_or_none(void **state)
{
	static const struct {
		const char *allowed, *inner;
	} cases[] = {{"''", "0.0.0.0"}, {"10.100.0.9/32,10.100.0.10/32", "0.0.0.0"},
		{"10.101.0.1/32", "10.101.0.1"}, {"10.100.0.1/32", "10.100.0.1"},
		{"10.100.4.0/24", "0.0.0.0"}, {"10.100.0.11/32,fd00::1/128", "0.0.0.0"},
		{"fd00::2/128", "0.0.0.0"}};
	struct fixture *f = *state;
	struct plane_peer good = wireguard_peer(f, 2), many = wireguard_peer(f, 3);
	static struct finds finds;

	open_device(f);
	add(f, &good);
	for (uint32_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct plane_peer peer = wireguard_peer(f, 100 + i);

		assert_true(shell("wg set vprox0 peer %s allowed-ips %s", key_text(&peer.key).s,
			cases[i].allowed));
	}
	/* One that fills several parts of the answer. */
	assert_true(shell("wg set vprox0 peer %s allowed-ips "
			  "$(seq -s, -f 172.16.%%g.0/24 0 255),$(seq -s, -f 172.17.%%g.0/24 0 255),"
			  "$(seq -s, -f 172.18.%%g.0/24 0 255),$(seq -s, -f 172.19.%%g.0/24 0 255)",
		key_text(&many.key).s));
	open_again(f);
	find_all(f, &finds);
	assert_int_equal(finds.n, sizeof cases / sizeof *cases + 2);
	assert_int_equal(found_key(&finds, &good.key)->peer.inner.value, good.inner.value);
	assert_int_equal(found_key(&finds, &many.key)->peer.inner.value, 0);
	for (uint32_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct plane_peer peer = wireguard_peer(f, 100 + i);

		assert_string_equal(
			ipv4_text(found_key(&finds, &peer.key)->peer.inner).s, cases[i].inner);
	}
}

static void ipip_links_are_found_as_they_are_and_can_be_removed(void **state)
{
	struct fixture *f = *state;
	struct plane_peer good = ipip_peer(f, 2), both = wireguard_peer(f, 3);
	static struct finds finds;
	struct plane_peer removed[8];
	int errors[8];
	size_t n = 0;

	open_device(f);
	add(f, &good);
	add(f, &both);
	close_device(f, true);
	/* Held twice; another local address; the gateway's, the broadcast and no address of the
	 * block; no remote; another peer's route; and one that is not ours in spite of its name. */
	assert_true(
		shell("ip link add vp0-3 type ipip local 192.0.2.1 remote 198.18.0.3 && "
		      "ip link add vp0-4 type ipip local 192.0.2.2 remote 198.18.0.4 && "
		      "ip link add vp0-0 type ipip local 192.0.2.1 remote 198.18.0.5 && "
		      "ip link add vp0-65534 type ipip local 192.0.2.1 remote 198.18.0.6 && "
		      "ip link add vp0-4294967295 type ipip local 192.0.2.1 remote 198.18.0.7"));
	assert_true(shell("ip link add vp0-8 type ipip local 192.0.2.1 && "
			  "ip link add vp0-9 type ipip local 192.0.2.1 remote 198.18.0.9 && "
			  "ip link set vp0-9 up && ip route add 10.100.0.77 dev vp0-9 && "
			  "ip link add vp0-10 type dummy && "
			  "ip link add vp1-2 type ipip local 192.0.2.1 remote 198.18.0.22"));
	open_device(f);
	find_all(f, &finds);
	assert_int_equal(finds.n, 9);
	/* Who holds an address that two have is told first. */
	assert_int_equal(finds.all[0].peer.kind, PEER_WIREGUARD);
	assert_string_equal(ipv4_text(found_interface(&finds, "vp0-2")->routed).s, "10.100.0.3");
	assert_int_equal(found_interface(&finds, "vp0-3")->peer.inner.value, both.inner.value);
	assert_int_equal(found_interface(&finds, "vp0-3")->routed.value, 0);
	assert_string_equal(ipv4_text(found_interface(&finds, "vp0-4")->local).s, "192.0.2.2");
	assert_string_equal(
		ipv4_text(found_interface(&finds, "vp0-0")->peer.inner).s, "10.100.0.1");
	assert_string_equal(
		ipv4_text(found_interface(&finds, "vp0-65534")->peer.inner).s, "10.100.255.255");
	assert_string_equal(
		ipv4_text(found_interface(&finds, "vp0-4294967295")->peer.inner).s, "10.100.0.0");
	assert_int_equal(found_interface(&finds, "vp0-8")->peer.remote.value, 0);
	assert_string_equal(ipv4_text(found_interface(&finds, "vp0-9")->routed).s, "10.100.0.77");
	for (size_t i = 0; i < finds.n; i++)
		if (finds.all[i].peer.kind == PEER_IPIP &&
			finds.all[i].peer.inner.value != good.inner.value)
			removed[n++] = finds.all[i].peer;
	assert_int_equal(n, 7);
	assert_int_equal(f->plane->ops->remove(f->device, removed, n, errors), 0);
	assert_int_equal(look(f), 2);
	assert_true(place_of(&good) < N_MAX && place_of(&both) < N_MAX);
	assert_true(shell("test \"$(ip -o link | grep -c ' vp[0-9]*-')\" = 3"));
	assert_true(shell("(ip link show vp0-10 && ip link show vp1-2) >/dev/null"));
}

static void an_address_that_others_gave_the_interface_is_no_mismatch(void **state)
{
	struct fixture *f = *state;
	struct plane_peer ipip = ipip_peer(f, 2), wireguard = wireguard_peer(f, 3);

	open_device(f);
	add(f, &ipip);
	add(f, &wireguard);
	assert_true(shell("ip addr add 10.9.9.1/24 dev vprox0"));
	open_again(f);
	assert_int_equal(look(f), 2);
	assert_true(shell("test \"$(ip -o -4 addr show vprox0 | wc -l)\" = 2"));
	assert_true(shell("ip addr show vprox0 | grep -q 10.9.9.1/24"));
}

static void another_block_is_removed_with_all_its_peers(void **state)
{
	struct fixture *f = *state;
	struct plane_peer ipip = ipip_peer(f, 2), wireguard = wireguard_peer(f, 3);

	open_device(f);
	add(f, &ipip);
	add(f, &wireguard);
	close_device(f, true);
	f->endpoint.block.length = 20;
	open_device(f);
	assert_int_equal(look(f), 0);
	assert_true(shell("test \"$(ip -o link | grep -c ' vp0-')\" = 0"));
	assert_true(shell("test \"$(ip -o -4 addr show vprox0 | wc -l)\" = 1"));
	assert_true(shell("ip addr show vprox0 | grep -q 10.100.0.1/20"));
}

static void the_interface_of_another_bind_address_is_not_adopted(void **state)
{
	struct fixture *f = *state;
	struct plane_peer wireguard = wireguard_peer(f, 3);

	open_device(f);
	add(f, &wireguard);
	close_device(f, true);
	f->endpoint.bind = ipv4("192.0.2.77");
	open_device(f);
	assert_int_equal(look(f), 0);
	assert_true(shell("ip link show vprox0 | grep -q 'alias 192.0.2.77'"));
}

static void another_key_or_port_is_replaced_and_the_peers_stay(void **state)
{
	struct fixture *f = *state;
	struct plane_peer wireguard = wireguard_peer(f, 3);

	open_device(f);
	add(f, &wireguard);
	close_device(f, true);
	assert_int_equal(key_generate_private(&f->endpoint.private_key), 0);
	f->endpoint.port = 50300;
	open_device(f);
	assert_int_equal(look(f), 1);
	assert_true(shell("test \"$(wg show vprox0 listen-port)\" = 50300"));
	assert_true(shell("test \"$(wg show vprox0 private-key)\" = %s",
		key_text(&f->endpoint.private_key).s));
}

static void what_is_no_wireguard_interface_keeps_its_name(void **state)
{
	struct fixture *f = *state;

	assert_true(shell("ip link add vprox0 type dummy"));
	assert_int_equal(f->plane->ops->open(f->plane, &f->endpoint, &f->device), -EEXIST);
	assert_true(error_names(f, "vprox0") && error_names(f, "dummy"));
	assert_true(shell("ip -d link show vprox0 | grep -q dummy"));
}

static void an_open_that_fails_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(50227)};
	auto_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(f->plane->ops->open(f->plane, &f->endpoint, &f->device), -EADDRINUSE);
	assert_true(error_names(f, "50227"));
	assert_true(shell("! ip link show vprox0 2>/dev/null"));
}

static void closing_removes_all_that_was_made_and_nothing_else(void **state)
{
	struct fixture *f = *state;

	assert_true(shell("ip link add mine type ipip local 192.0.2.9 remote 198.18.0.2"));
	assert_true(shell("(ip link; ip addr; ip route) >/run/before"));
	open_device(f);
	for (uint32_t i = 2; i < 12; i++) {
		struct plane_peer ipip = ipip_peer(f, i), wireguard = wireguard_peer(f, 100 + i);

		add(f, &ipip);
		add(f, &wireguard);
	}
	assert_true(shell("ip link del vp0-5"));
	close_device(f, false);
	assert_true(shell("(ip link; ip addr; ip route) >/run/after; cmp /run/before /run/after"));
	assert_true(shell("ip link show tunl0 >/dev/null"));
}

struct leftovers {
	size_t n;
	struct plane_leftover all[8];
};

static int keep_leftover(void *context, const struct plane_leftover *leftover)
{
	struct leftovers *leftovers = context;

	assert_true(leftovers->n < 8);
	leftovers->all[leftovers->n++] = *leftover;
	return 0;
}

static void what_is_there_is_discovered_by_index_and_can_be_removed(void **state)
{
	struct fixture *f = *state;
	struct leftovers leftovers = {0};

	assert_true(shell("ip link add vprox0 type wireguard && ip link set vprox0 alias 192.0.2.1 "
			  "&& ip link add vp0-2 type ipip local 192.0.2.8 remote 198.18.0.2"));
	assert_true(shell("ip link add vprox4 type wireguard && "
			  "ip link add vp7-3 type ipip local 192.0.2.3 remote 198.18.0.2 && "
			  "ip link add vprox9 type dummy && ip link add vp7-03 type dummy && "
			  "ip link add vp7-4 type dummy"));
	assert_int_equal(f->plane->ops->discover(f->plane, keep_leftover, &leftovers), 0);
	assert_int_equal(leftovers.n, 3);
	for (size_t i = 0; i < leftovers.n; i++) {
		const struct plane_leftover *leftover = &leftovers.all[i];

		if (leftover->index == 0)
			assert_true(leftover->has_bind &&
				    leftover->bind.value == ipv4("192.0.2.1").value);
		else if (leftover->index == 7)
			assert_true(leftover->has_bind &&
				    leftover->bind.value == ipv4("192.0.2.3").value);
		else
			assert_true(leftover->index == 4 && !leftover->has_bind);
	}
	assert_int_equal(f->plane->ops->remove_all(f->plane, 0), 0);
	assert_int_equal(f->plane->ops->remove_all(f->plane, 7), 0);
	assert_int_equal(f->plane->ops->remove_all(f->plane, 8), 0);
	leftovers.n = 0;
	assert_int_equal(f->plane->ops->discover(f->plane, keep_leftover, &leftovers), 0);
	assert_int_equal(leftovers.n, 1);
	assert_int_equal(leftovers.all[0].index, 4);
	assert_true(shell(
		"(ip link show vp7-4 && ip link show vp7-03 && ip link show vprox9) >/dev/null"));
}

static void a_clients_interface_is_neither_discovered_nor_removed_nor_adopted(void **state)
{
	struct fixture *f = *state;
	struct leftovers leftovers = {0};

	/* By its alias, and as the Go client leaves it, by its key. */
	assert_true(shell("mkdir -p /run/vprox && wg genkey >/run/vprox/client-key-vprox1"));
	assert_true(shell("for i in 0 1 2; do ip link add vprox$i type wireguard; done; "
			  "ip link set vprox0 alias vprox-client && "
			  "wg set vprox1 private-key /run/vprox/client-key-vprox1 && "
			  "ip link add vp0-3 type ipip local 192.0.2.1 remote 198.18.0.3 && "
			  "ip link add vp0-4 type ipip local 192.0.2.1 remote 198.18.0.4 && "
			  "ip link set vp0-4 alias vprox-client-2"));
	assert_int_equal(f->plane->ops->discover(f->plane, keep_leftover, &leftovers), 0);
	assert_int_equal(leftovers.n, 2);
	for (size_t i = 0; i < leftovers.n; i++)
		assert_true(leftovers.all[i].index == 0 || leftovers.all[i].index == 2);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(f->plane->ops->remove_all(f->plane, i), 0);
	assert_true(shell("ip link show vprox0 && ip link show vprox1 && ip link show vp0-4 && "
			  "! ip link show vprox2 && ! ip link show vp0-3"));
	assert_int_equal(f->plane->ops->open(f->plane, &f->endpoint, &f->device), -EEXIST);
	assert_true(error_names(f, "--interface"));
	f->endpoint.index = 1;
	assert_int_equal(f->plane->ops->open(f->plane, &f->endpoint, &f->device), -EEXIST);
	assert_true(error_names(f, "--interface"));
	/* The alias says whose it is, whatever the key. */
	assert_true(shell("ip link set vprox1 alias 192.0.2.1"));
	open_device(f);
	assert_true(shell("rm /run/vprox/client-key-vprox1"));
}

static void without_the_wireguard_interface_all_says_so_and_closing_removes_the_rest(void **state)
{
	struct fixture *f = *state;
	struct plane_peer ipip = ipip_peer(f, 2), wireguard = wireguard_peer(f, 3);

	open_device(f);
	add(f, &ipip);
	add(f, &wireguard);
	assert_true(shell("ip link del vprox0"));
	assert_int_equal(plane_dump(f->device, keep_peer, NULL), -ENODEV);
	assert_true(error_names(f, "vprox0"));
	assert_int_equal(f->plane->ops->add(f->device, &wireguard), -ENODEV);
	assert_int_equal(f->plane->ops->remove(f->device, &wireguard, 1, &(int){0}), 0);
	assert_int_equal(check(f, &ipip), 0);
	close_device(f, false);
	assert_true(shell("! ip link show vp0-2 2>/dev/null"));
}

static int reconcile(struct fixture *f)
{
	return f->plane->ops->reconcile(f->device, PLANE_AT_ONCE);
}

static bool is_as_before(void)
{
	return shell("(ip -d link; ip addr; ip route show table all; wg show all dump) "
		     ">/run/now; diff /run/before /run/now");
}

/* Does damage with a shell command, and holds that reconciling undoes all of it and nothing else.
 */
static void what_a_command_breaks_is_mended(struct fixture *f, const char *command)
{
	assert_true(shell("(ip -d link; ip addr; ip route show table all; wg show all dump) "
			  ">/run/before"));
	assert_true(shell("%s", command));
	if (shell("(ip -d link; ip addr; ip route show table all; wg show all dump) | "
		  "cmp -s - /run/before"))
		fail_msg("%s: it does no damage", command);
	assert_int_equal(reconcile(f), 0);
	if (!is_as_before())
		fail_msg("%s: not mended", command);
}

static void what_somebody_changes_of_a_running_device_is_put_right(void **state)
{
	static const char *const damages[] = {
		"ip addr flush dev vprox0",
		"ip addr del 10.100.0.1/16 dev vprox0",
		"ip link set vprox0 down",
		"ip route del 10.100.0.0/16 dev vprox0",
		"ip route flush dev vprox0",
		"ip link set vprox0 alias ''",
		"ip link set vp0-3 down",
		"ip route del 10.100.0.4/32 dev vp0-3",
		"ip route replace 10.100.0.4/32 dev lo",
		"ip link set vp0-3 down && ip link set vp0-3 up",
		"ip route flush root 10.100.0.0/16",
		"ip addr flush dev vprox0; ip link set vprox0 down; ip link set vp0-4 down",
	};
	struct fixture *f = *state;

	open_device(f);
	for (uint32_t i = 2; i < 5; i++) {
		struct plane_peer ipip = ipip_peer(f, i), wireguard = wireguard_peer(f, 100 + i);

		add(f, &ipip);
		add(f, &wireguard);
	}
	for (size_t i = 0; i < sizeof damages / sizeof *damages; i++)
		what_a_command_breaks_is_mended(f, damages[i]);
	assert_int_equal(look(f), 6);
}

static void reconciling_changes_nothing_where_nothing_is_wrong(void **state)
{
	struct fixture *f = *state;
	struct plane_peer peer = ipip_peer(f, 2);

	/* Others' interfaces, addresses and routes are their own business. */
	open_device(f);
	add(f, &peer);
	assert_true(shell("ip link add mine type ipip local 192.0.2.9 remote 198.18.0.2 && "
			  "ip link add vp0-9 type dummy && ip link add vp1-2 type ipip "
			  "local 192.0.2.3 remote 198.18.0.3 && "
			  "ip addr add 10.9.9.1/24 dev vprox0 && "
			  "ip route add 10.100.0.99/32 dev vprox0 && "
			  "ip route add blackhole 10.100.0.0/16 metric 7 && "
			  "ip link set vprox0 mtu 1300"));
	assert_true(shell("(ip -d link; ip addr; ip route show table all; wg show all dump) "
			  ">/run/before; (ip monitor link address route >/run/changes & "
			  "echo $! >/run/monitor); sleep 0.5"));
	for (int i = 0; i < 3; i++)
		assert_int_equal(reconcile(f), 0);
	assert_true(shell("sleep 0.5; kill $(cat /run/monitor); test ! -s /run/changes"));
	assert_true(is_as_before());
	close_device(f, false);
}

/* Peers 2 to 121, of which every third has its link down. */
static void reconciling_in_pieces_puts_all_right_though_peers_come_and_go(void **state)
{
	struct fixture *f = *state;
	unsigned int n_pieces = 0;
	int result;

	open_device(f);
	for (uint32_t i = 2; i < 122; i++) {
		struct plane_peer peer = ipip_peer(f, i);

		add(f, &peer);
	}
	assert_true(shell("for i in $(seq 2 3 121); do echo link set vp0-$i down; done | "
			  "ip -b -"));
	do {
		struct plane_peer comes = ipip_peer(f, 200 + n_pieces),
				  goes = ipip_peer(f, 2 + n_pieces);

		result = f->plane->ops->reconcile(f->device, 0);
		assert_true(result >= 0);
		if (n_pieces++ < 3) {
			add(f, &comes);
			assert_int_equal(f->plane->ops->remove(f->device, &goes, 1, &(int){0}), 0);
		}
	} while (result > 0);
	assert_true(n_pieces >= 3);
	assert_int_equal(look(f), 120);
	assert_true(shell("test $(ip link show type ipip up | grep -c ': vp0-') = 120 && "
			  "test $(ip route show proto boot | grep -c ' dev vp0-') = 120"));
	/* What is under way at the end of a device goes with it. */
	assert_true(f->plane->ops->reconcile(f->device, 0) > 0);
}

static void reconciling_makes_nothing_that_has_vanished(void **state)
{
	struct fixture *f = *state;
	struct plane_peer peer = ipip_peer(f, 2);

	open_device(f);
	add(f, &peer);
	assert_true(shell("ip link del vp0-2"));
	assert_int_equal(reconcile(f), 0);
	assert_int_equal(look(f), 0);
	assert_true(shell("ip link del vprox0"));
	assert_int_equal(reconcile(f), -ENODEV);
	/* Not even if another one has taken its name. */
	assert_true(shell("ip link add vprox0 type dummy"));
	assert_int_equal(reconcile(f), -ENODEV);
	assert_true(shell("! ip link show up | grep vprox0"));
}

/* With peers that share an interface. */
static void open_shared(struct fixture *f)
{
	plane_kernel_share_ipip(f->plane);
	open_device(f);
}

/* As the server's inspection does it. */
static size_t look_and_reconcile(struct fixture *f)
{
	look(f);
	assert_int_equal(reconcile(f), 0);
	return look(f);
}

static void who_is_removed_while_the_shared_interface_is_gone_is_not_made_again(void **state)
{
	struct fixture *f = *state;
	struct plane_peer goes = ipip_peer(f, 2), stays = ipip_peer(f, 3);

	open_shared(f);
	add(f, &goes);
	add(f, &stays);
	assert_int_equal(look(f), 2);
	assert_true(shell("ip link del vprox-ipip"));
	assert_int_equal(f->plane->ops->remove(f->device, &goes, 1, &(int){0}), 0);
	assert_int_equal(look_and_reconcile(f), 1);
	assert_int_equal(place_of(&stays), 0);
	assert_int_equal(check(f, &goes), -ENODEV);
	assert_true(shell("! ip route show dev vprox-ipip | grep -q 10.100.0.3"));
}

static void who_was_said_to_have_vanished_is_made_again_by_adding_alone(void **state)
{
	struct fixture *f = *state;
	struct plane_peer peer = ipip_peer(f, 2);

	open_shared(f);
	add(f, &peer);
	assert_true(shell("tc filter del dev vprox-ipip egress chain 1 protocol ip pref 1 handle "
			  "0x0a640003 flower"));
	assert_int_equal(check(f, &peer), -ENODEV);
	assert_int_equal(look_and_reconcile(f), 0);
	add(f, &peer);
	assert_int_equal(look(f), 1);
}

static void half_a_peer_of_the_shared_interface_is_found_and_not_kept(void **state)
{
	struct fixture *f = *state;
	struct plane_peer half = ipip_peer(f, 2), whole = ipip_peer(f, 3);

	open_shared(f);
	add(f, &half);
	add(f, &whole);
	assert_true(shell("tc filter del dev vprox-ipip egress chain 1 protocol ip pref 1 handle "
			  "0x0a640003 flower"));
	open_again(f);
	assert_int_equal(look_and_reconcile(f), 1);
	assert_int_equal(place_of(&whole), 0);
}

static void places_of_many_peers_are_restored_together_and_those_that_are_gone_passed_over(
	void **state)
{
	struct fixture *f = *state;
	struct plane_peer peers[PLANE_ADD_BATCH];
	struct plane_usage lasts[PLANE_ADD_BATCH] = {{0}};

	open_device(f);
	for (uint32_t i = 0; i < PLANE_ADD_BATCH; i++) {
		peers[i] = wireguard_peer(f, 2 + i);
		lasts[i].outer.value = ipv4("198.18.0.0").value + i;
		lasts[i].outer_port = (uint16_t)(4000 + i);
	}
	/* Where it is is not known. */
	lasts[3].outer_port = 0;
	for (uint32_t i = 0; i < PLANE_ADD_BATCH; i++)
		if (i != 7)
			add(f, &peers[i]);
	assert_int_equal(
		f->plane->ops->restore_endpoints(f->device, peers, lasts, PLANE_ADD_BATCH), 0);
	assert_int_equal(look(f), PLANE_ADD_BATCH - 1);
	for (uint32_t i = 0; i < PLANE_ADD_BATCH; i++) {
		size_t place = place_of(&peers[i]);

		if (i == 7) {
			assert_int_equal(place, N_MAX);
			continue;
		}
		assert_int_equal(
			dump.usage[place].outer.value, i == 3 ? 0 : ipv4("198.18.0.0").value + i);
		assert_int_equal(dump.usage[place].outer_port, i == 3 ? 0 : 4000 + i);
	}
	assert_true(shell("wg show vprox0 persistent-keepalive | grep -cw off | grep -qx %d",
		PLANE_ADD_BATCH - 1));
}

static bool is_led_to(const char *direction)
{
	return shell(
		"tc filter show dev vprox-ipip %s chain 0 | grep -q 'goto chain 1'", direction);
}

static void nothing_leads_to_peers_of_a_standby_at_the_shared_interface(void **state)
{
	struct fixture *f = *state;
	struct plane_peer peer = ipip_peer(f, 2);

	f->endpoint.is_standby = true;
	open_shared(f);
	add(f, &peer);
	assert_int_equal(look(f), 1);
	assert_true(shell("test -z \"$(ip route show dev vprox-ipip)\""));
	assert_false(is_led_to("ingress") || is_led_to("egress"));
	assert_int_equal(f->plane->ops->serve(f->device, 0), 0);
	assert_true(shell("ip route show dev vprox-ipip | grep -q 10.100.0.3"));
	assert_true(is_led_to("ingress") && is_led_to("egress"));
	close_device(f, false);
	assert_true(shell("! ip link show vprox-ipip 2>/dev/null"));
}

static void what_a_server_left_that_died_while_it_looked_is_no_fault_of_the_kernels(void **state)
{
	struct fixture *f = *state;

	plane_kernel_share_ipip(f->plane);
	assert_true(shell("ip link add vprox-probe type ipip local 127.0.0.1 remote 127.0.0.1 && "
			  "tc qdisc add dev vprox-probe clsact"));
	if (f->plane->ops->probe(f->plane) < 0)
		fail_msg("probe: %s", plane_error(f->plane));
	assert_true(shell("! ip link show vprox-probe 2>/dev/null"));
}

/* Of the guest's whole kernel, in which nobody else uses them. A namespace that has just ended may
 * have some for a moment. */
static bool unload(const char *modules)
{
	return shell("echo /bin/false >/proc/sys/kernel/modprobe; export MODULES='%s'; "
		     "timeout 60 sh -c 'for module in $MODULES; do "
		     "until rmmod $module 2>/dev/null; do sleep 0.2; done; done'",
		modules);
}

static bool load(const char *modules)
{
	return shell("echo /sbin/modprobe >/proc/sys/kernel/modprobe; modprobe -a %s", modules);
}

static void what_the_kernel_lacks_to_share_an_interface_is_named(void **state)
{
	static const char modules[] = "cls_flower act_tunnel_key";
	struct fixture *f = *state;
	bool are_gone, are_back;
	char text[PLANE_ERROR_SIZE];
	int error;

	plane_kernel_share_ipip(f->plane);
	are_gone = unload(modules);
	error = f->plane->ops->probe(f->plane);
	snprintf(text, sizeof text, "%s", plane_error(f->plane));
	are_back = load(modules);
	assert_true(are_gone && are_back);
	assert_int_equal(error, -ENOSYS);
	assert_string_equal(text,
		"this kernel lacks what --ipip-mode=shared needs: load the modules (modprobe -a "
		"cls_flower act_tunnel_key), or use --ipip-mode=interface");
	assert_true(shell("! ip link show vprox-probe 2>/dev/null"));
	assert_int_equal(f->plane->ops->probe(f->plane), 0);
}

static void what_is_left_of_a_look_is_removed_and_no_other_interface_of_its_name(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(plane_kernel_remove_probe(f->plane, false), 0);
	assert_true(shell("ip link add vprox-probe type ipip local 127.0.0.1 remote 127.0.0.1"));
	assert_int_equal(plane_kernel_remove_probe(f->plane, true), 1);
	assert_true(shell("ip link show vprox-probe >/dev/null"));
	assert_int_equal(plane_kernel_remove_probe(f->plane, false), 1);
	assert_true(shell("! ip link show vprox-probe 2>/dev/null"));
	assert_true(shell("ip link add vprox-probe type dummy"));
	assert_int_equal(plane_kernel_remove_probe(f->plane, false), 0);
	assert_true(shell("ip link del vprox-probe"));
}

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static int compare_doubles(const void *a, const void *b)
{
	const double *left = a, *right = b;

	return *left < *right ? -1 : *left > *right;
}

/* Adds peers up to the n-th; prints how long each of the last took. */
static void add_up_to(struct fixture *f, uint32_t *have, uint32_t n)
{
	enum {
		N_TIMES = 50,
	};
	double times[N_TIMES];

	for (; *have < n; ++*have) {
		struct plane_peer peer = ipip_peer(f, 2 + *have);
		double start = now_ms();

		add(f, &peer);
		times[*have % N_TIMES] = now_ms() - start;
	}
	qsort(times, N_TIMES, sizeof *times, compare_doubles);
	printf("# an IPIP peer at %u: p50 %.2f ms, p90 %.2f ms\n", n, times[N_TIMES / 2],
		times[N_TIMES * 9 / 10]);
}

static void removing_a_thousand_peers_costs_far_less_than_a_thousand_removals(void **state)
{
	struct fixture *f = *state;
	struct plane_peer removed[PLANE_REMOVAL_BATCH];
	int errors[PLANE_REMOVAL_BATCH];
	enum {
		N_SINGLE = 10,
	};
	uint32_t have = 0;
	double start, single, spent;

	open_device(f);
	add_up_to(f, &have, 100);
	add_up_to(f, &have, 1000);
	look(f);
	start = now_ms();
	assert_int_equal(look(f), 1000);
	printf("# a look at 1000 IPIP peers: %.1f ms\n", now_ms() - start);
	start = now_ms();
	assert_int_equal(reconcile(f), 0);
	printf("# reconciling 1000 IPIP peers with nothing to do: %.1f ms\n", now_ms() - start);
	assert_true(shell("ip route flush root 10.100.0.0/16"));
	start = now_ms();
	assert_int_equal(reconcile(f), 0);
	printf("# giving 1000 IPIP peers their routes again: %.1f ms\n", now_ms() - start);
	assert_true(shell("test \"$(ip route | grep -c ' vp0-')\" = 1000"));
	start = now_ms();
	open_again(f);
	printf("# adopting 1000 IPIP peers: %.1f ms\n", now_ms() - start);
	assert_int_equal(look(f), 1000);
	for (uint32_t i = 0; i < PLANE_REMOVAL_BATCH; i++)
		removed[i] = ipip_peer(f, 2 + i);
	start = now_ms();
	assert_int_equal(f->plane->ops->remove(f->device, removed, PLANE_REMOVAL_BATCH, errors), 0);
	printf("# removing a batch of %u: %.1f ms\n", PLANE_REMOVAL_BATCH, now_ms() - start);
	for (uint32_t i = 0; i < PLANE_REMOVAL_BATCH; i++)
		add(f, &removed[i]);
	start = now_ms();
	for (size_t i = 0; i < N_SINGLE; i++)
		assert_int_equal(f->plane->ops->remove(f->device, &removed[i], 1, errors), 0);
	single = (now_ms() - start) / N_SINGLE;
	printf("# removing one: %.1f ms\n", single);
	start = now_ms();
	close_device(f, false);
	spent = now_ms() - start;
	printf("# destroying %u IPIP peers: %.1f ms\n", 1000 - N_SINGLE, spent);
	/* In proportion, as the machine may be busy with other things. */
	assert_true(spent < 1000 * single / 4);
	assert_true(shell("! ip -o link | grep -q vp0-"));
}

static void a_thousand_wireguard_peers_are_read_whole(void **state)
{
	struct fixture *f = *state;
	double start = now_ms();

	open_device(f);
	for (uint32_t i = 0; i < 1000; i++) {
		struct plane_peer peer = wireguard_peer(f, 2 + i);

		add(f, &peer);
	}
	printf("# adding 1000 WireGuard peers: %.2f ms each\n", (now_ms() - start) / 1000);
	start = now_ms();
	assert_int_equal(look(f), 1000);
	printf("# a look at 1000 WireGuard peers: %.1f ms\n", now_ms() - start);
	for (uint32_t i = 0; i < 1000; i++) {
		struct plane_peer peer = wireguard_peer(f, 2 + i);

		assert_true(place_of(&peer) < N_MAX);
	}
	start = now_ms();
	open_again(f);
	printf("# adopting 1000 WireGuard peers: %.1f ms\n", now_ms() - start);
	assert_int_equal(look(f), 1000);
}

/* How long the kernel takes to delete the interface with so many peers by itself, or by close(), or
 * by remove_all(). */
enum deletion {
	BY_THE_KERNEL,
	BY_CLOSE,
	BY_REMOVE_ALL,
};

static double delete_with_wireguard_peers(struct fixture *f, enum deletion how, uint32_t n)
{
	double start;

	open_device(f);
	for (uint32_t i = 0; i < n; i++) {
		struct plane_peer peer = wireguard_peer(f, 2 + i);

		add(f, &peer);
	}
	if (how != BY_CLOSE)
		close_device(f, true);
	start = now_ms();
	if (how == BY_CLOSE)
		close_device(f, false);
	else if (how == BY_REMOVE_ALL)
		assert_int_equal(f->plane->ops->remove_all(f->plane, f->endpoint.index), 0);
	else
		assert_true(shell("ip link del vprox0"));
	start = now_ms() - start;
	assert_true(shell("! ip link show vprox0 2>/dev/null"));
	return start;
}

static void deleting_an_interface_does_not_wait_for_each_of_its_wireguard_peers(void **state)
{
	struct fixture *f = *state;
	enum {
		N_PEERS = 50,
		N_ROUNDS = 4, /* the least of them counts: the machine may be busy */
	};
	double least[BY_REMOVE_ALL + 1];

	for (unsigned int i = 0; i < N_ROUNDS; i++) {
		for (enum deletion how = BY_THE_KERNEL; how <= BY_REMOVE_ALL; how++) {
			double spent = delete_with_wireguard_peers(f, how, N_PEERS);

			if (i == 0 || spent < least[how])
				least[how] = spent;
		}
	}
	printf("# deleting %u WireGuard peers: %.1f ms by the kernel alone, %.1f ms by close(), "
	       "%.1f ms by remove_all()\n",
		N_PEERS, least[BY_THE_KERNEL], least[BY_CLOSE], least[BY_REMOVE_ALL]);
	assert_true(least[BY_CLOSE] < 0.7 * least[BY_THE_KERNEL]);
	assert_true(least[BY_REMOVE_ALL] < 0.7 * least[BY_THE_KERNEL]);
}

static void count_removed_host_route(void *context, const struct nlmsghdr *message)
{
	const struct rtmsg *header = message_header(message, sizeof *header);
	size_t *n = context;

	if (message->nlmsg_type == RTM_DELROUTE && header && header->rtm_table == RT_TABLE_MAIN &&
		header->rtm_dst_len == 32)
		++*n;
}

enum {
	N_ROUTED = 5,
	NOBODYS = 1 << 20, /* ifindexes from here on are nobody's: such links count as gone */
};

/* Puts the ifindexes of links with a route each there. */
static void make_routed_links(unsigned int *ifindexes)
{
	for (int i = 0; i < N_ROUTED; i++) {
		char name[IF_NAMESIZE];

		snprintf(name, sizeof name, "routed%d", i);
		assert_true(shell("ip link add %s up type veth && "
				  "ip route add 10.100.1.%d/32 dev %s",
			name, i, name));
		ifindexes[i] = if_nametoindex(name);
	}
}

/* Deletes n links, some of which have a route. Returns how many routes the kernel has told of: it
 * tells of a route that is removed, and of none that goes with its interface. */
static size_t count_routes_removed_first(struct fixture *f, size_t n)
{
	auto_free unsigned int *ifindexes = calloc(n, sizeof *ifindexes);
	auto_free int *errors = calloc(n, sizeof *errors);
	int monitor = netlink_monitor_open(NETLINK_ROUTE, RTMGRP_IPV4_ROUTE);
	size_t n_removed = 0;

	assert_true(ifindexes && errors && monitor >= 0);
	for (unsigned int i = N_ROUTED; i < n; i++)
		ifindexes[i] = NOBODYS + i;
	make_routed_links(ifindexes);
	assert_int_equal(kernel_delete_links(kernel_of_plane(f->plane), ifindexes, n, errors), 0);
	assert_true(shell("! ip link | grep routed"));
	assert_int_equal(netlink_monitor_read(monitor, count_removed_host_route, &n_removed), 0);
	close(monitor);
	return n_removed;
}

static void of_many_interfaces_the_routes_are_removed_first(void **state)
{
	assert_int_equal(count_routes_removed_first(*state, KERNEL_ROUTES_FIRST), N_ROUTED);
	assert_int_equal(count_routes_removed_first(*state, KERNEL_ROUTES_FIRST - 1), 0);
}

static void more_interfaces_than_the_notices_can_tell_of_may_go_at_once(void **state)
{
	struct fixture *f = *state;
	struct plane_peer last = ipip_peer(f, 2 + 2999);
	uint32_t have = 0;

	open_device(f);
	add_up_to(f, &have, 3000);
	assert_true(shell("for i in $(seq 2 2990); do echo link set vp0-$i group 77; done | "
			  "ip -batch - && ip link del group 77"));
	assert_int_equal(look(f), 11);
	assert_true(place_of(&last) < N_MAX);
	close_device(f, false);
}

/* Begins a reading, and takes so many pieces of it. */
static struct plane_reading *begin_reading(struct fixture *f, int n_pieces)
{
	struct plane_reading *reading;

	dump.n = 0;
	assert_int_equal(f->plane->ops->read(f->device, keep_peer, NULL, &reading), 0);
	for (int i = 0; i < n_pieces; i++)
		assert_int_equal(reading->next(reading), 1);
	return reading;
}

/* The kernel has the second piece ready when the first one is read, and goes on from its last peer.
 */
static void a_reading_meets_all_others_where_the_peer_that_it_has_come_to_is_removed(void **state)
{
	struct fixture *f = *state;
	struct plane_reading *reading;
	struct plane_peer peer, gone;
	int error, result;

	open_device(f);
	for (uint32_t offset = 1; offset <= N_READ; offset++) {
		peer = wireguard_peer(f, offset);
		add(f, &peer);
	}
	reading = begin_reading(f, 2);
	gone = wireguard_peer(f, 1 + (uint32_t)dump.n);
	reading->end(reading);
	reading = begin_reading(f, 1);
	assert_int_equal(f->plane->ops->remove(f->device, &gone, 1, &error), 0);
	while ((result = reading->next(reading)) > 0) {
	}
	reading->end(reading);
	assert_int_equal(result, 0);
	for (uint32_t offset = 1; offset <= N_READ; offset++) {
		peer = wireguard_peer(f, offset);
		assert_true(key_equal(&peer.key, &gone.key) || place_of(&peer) < N_MAX);
	}
	close_device(f, false);
}

/* The one argument, if given: which tests to run, * and ? being wildcards. */
int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(the_kernel_has_what_the_plane_needs_and_looking_leaves_nothing),
		TEST(the_device_has_the_names_and_numbers_of_the_contract),
		TEST(an_ipip_peer_is_a_link_with_a_host_route_and_no_address),
		TEST(a_wireguard_peer_has_one_address_and_writing_it_again_heals_it),
		TEST(an_address_that_cannot_be_a_peers_is_refused),
		TEST(a_link_that_is_there_is_taken_over_and_mended),
		TEST(a_foreign_link_in_the_way_is_named_and_left_alone),
		TEST(a_link_that_has_gone_is_not_reported_and_is_made_again),
		TEST(counters_of_another_link_with_the_same_number_are_not_taken),
		TEST(bytes_are_counted_as_the_peer_sees_them),
		TEST(a_batch_of_both_kinds_is_removed_and_removing_again_is_no_error),
		TEST(a_foreign_member_of_the_group_does_not_keep_peers_from_being_removed),
		TEST(what_was_kept_is_adopted_as_it_was),
		TEST(what_a_crash_left_half_made_is_mended),
		TEST(ipip_peers_are_adopted_without_the_wireguard_interface),
		TEST(wireguard_peers_are_found_with_their_one_address_or_none),
		TEST(ipip_links_are_found_as_they_are_and_can_be_removed),
		TEST(an_address_that_others_gave_the_interface_is_no_mismatch),
		TEST(another_block_is_removed_with_all_its_peers),
		TEST(the_interface_of_another_bind_address_is_not_adopted),
		TEST(another_key_or_port_is_replaced_and_the_peers_stay),
		TEST(what_is_no_wireguard_interface_keeps_its_name),
		TEST(an_open_that_fails_leaves_nothing),
		TEST(closing_removes_all_that_was_made_and_nothing_else),
		TEST(what_is_there_is_discovered_by_index_and_can_be_removed),
		TEST(a_clients_interface_is_neither_discovered_nor_removed_nor_adopted),
		TEST(without_the_wireguard_interface_all_says_so_and_closing_removes_the_rest),
		TEST(what_somebody_changes_of_a_running_device_is_put_right),
		TEST(reconciling_changes_nothing_where_nothing_is_wrong),
		TEST(reconciling_in_pieces_puts_all_right_though_peers_come_and_go),
		TEST(reconciling_makes_nothing_that_has_vanished),
		TEST(who_is_removed_while_the_shared_interface_is_gone_is_not_made_again),
		TEST(who_was_said_to_have_vanished_is_made_again_by_adding_alone),
		TEST(half_a_peer_of_the_shared_interface_is_found_and_not_kept),
		TEST(places_of_many_peers_are_restored_together_and_those_that_are_gone_passed_over),
		TEST(nothing_leads_to_peers_of_a_standby_at_the_shared_interface),
		TEST(what_the_kernel_lacks_to_share_an_interface_is_named),
		TEST(what_is_left_of_a_look_is_removed_and_no_other_interface_of_its_name),
		TEST(what_a_server_left_that_died_while_it_looked_is_no_fault_of_the_kernels),
		TEST(removing_a_thousand_peers_costs_far_less_than_a_thousand_removals),
		TEST(a_thousand_wireguard_peers_are_read_whole),
		TEST(deleting_an_interface_does_not_wait_for_each_of_its_wireguard_peers),
		TEST(a_reading_meets_all_others_where_the_peer_that_it_has_come_to_is_removed),
		TEST(of_many_interfaces_the_routes_are_removed_first),
		TEST(more_interfaces_than_the_notices_can_tell_of_may_go_at_once),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
