/* The deletion of tracked connections, and notices of their end, against the kernel itself in a
 * network namespace of the test's own. */
#include "addresses.h"

#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>

#include "netlink/conntrack.h"
#include "netlink/conntrack_events.h"
#include "netlink/request.h"
#include "netlink/socket.h"

enum { BUFFER_SIZE = 1 << 20, SMALLEST_BUFFER = 1 };

enum {
	LIFETIME_S = 600,
	MANY = 3000,
	TEST_ZONE = 7,
};

struct fixture {
	struct netlink *netlink; /* NULL: no namespace can be made here */
};

/* One connection; what differs in the replies' direction is translated. */
struct connection {
	const char *source, *destination;
	const char *reply_source, *reply_destination;
	uint16_t port;
	uint16_t zone;
};

static const char inner[] = "10.0.0.2", other[] = "10.0.0.3", far[] = "192.0.2.80",
		  bind_address[] = "203.0.113.7";

static int set_up(void **state)
{
	static struct fixture fixture;

	*state = &fixture;
	if (unshare(CLONE_NEWNET) < 0)
		return 0;
	return netlink_open(NETLINK_NETFILTER, &fixture.netlink);
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	netlink_close(fixture->netlink);
	return 0;
}

static struct fixture *fixture_of(void **state)
{
	struct fixture *fixture = *state;

	if (!fixture->netlink)
		skip();
	return fixture;
}

static uint16_t big_endian(uint16_t value)
{
	return htons(value);
}

static void put_tuple(struct netlink_request *request, uint16_t type, const char *source,
	const char *destination, uint16_t source_port, uint16_t destination_port)
{
	size_t tuple = netlink_nest_begin(request, type);
	size_t ip = netlink_nest_begin(request, CTA_TUPLE_IP);
	size_t proto;

	netlink_put_ipv4(request, CTA_IP_V4_SRC, ipv4(source));
	netlink_put_ipv4(request, CTA_IP_V4_DST, ipv4(destination));
	netlink_nest_end(request, ip);
	proto = netlink_nest_begin(request, CTA_TUPLE_PROTO);
	netlink_put_u8(request, CTA_PROTO_NUM, IPPROTO_UDP);
	netlink_put_u16(request, CTA_PROTO_SRC_PORT, big_endian(source_port));
	netlink_put_u16(request, CTA_PROTO_DST_PORT, big_endian(destination_port));
	netlink_nest_end(request, proto);
	netlink_nest_end(request, tuple);
}

/* The kernel makes an entry out of it, as a packet would. */
static void insert(struct fixture *fixture, const struct connection *c)
{
	struct netlink_request request;
	struct nfgenmsg *header;

	netlink_request_init(&request);
	header = netlink_add(&request, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW,
		NLM_F_CREATE | NLM_F_EXCL, sizeof *header);
	header->nfgen_family = AF_INET;
	put_tuple(&request, CTA_TUPLE_ORIG, c->source, c->destination, c->port, 7);
	put_tuple(&request, CTA_TUPLE_REPLY, c->reply_source, c->reply_destination, 7, c->port);
	netlink_put_u32(&request, CTA_TIMEOUT, htonl(LIFETIME_S));
	netlink_put_u32(&request, CTA_STATUS, htonl(IPS_CONFIRMED));
	if (c->zone)
		netlink_put_u16(&request, CTA_ZONE, big_endian(c->zone));
	assert_int_equal(netlink_execute(fixture->netlink, &request), 0);
}

static bool is_inner(void *context, struct ipv4 address)
{
	(void)context;
	return ipv4_equal(address, ipv4(inner));
}

static bool is_none(void *context, struct ipv4 address)
{
	(void)context;
	(void)address;
	return false;
}

static bool is_any(void *context, struct ipv4 address)
{
	(void)context;
	(void)address;
	return true;
}

static void assert_deletes(size_t n, size_t of)
{
	struct conntrack_result result;

	assert_int_equal(conntrack_delete(is_inner, NULL, &result), 0);
	assert_int_equal(result.n_entries, of);
	assert_int_equal(result.n_deleted, n);
	assert_int_equal(conntrack_delete(is_none, NULL, &result), 0);
	assert_int_equal(result.n_entries, of - n);
}

static void an_empty_table_is_no_error(void **state)
{
	fixture_of(state);
	assert_deletes(0, 0);
}

static void an_address_is_found_at_every_place_of_an_entry_and_others_stay(void **state)
{
	struct fixture *fixture = fixture_of(state);
	const struct connection connections[] = {
		{inner, far, far, bind_address, 1, 0}, /* to the Internet, translated */
		{inner, far, far, inner, 2, 0},
		{other, inner, inner, other, 3, 0}, /* from another peer */
		{far, bind_address, inner, far, 4, 0}, /* from outside, translated */
		{other, far, far, bind_address, 5, 0},
	};

	for (size_t i = 0; i < sizeof connections / sizeof *connections; i++)
		insert(fixture, &connections[i]);
	assert_deletes(4, 5);
}

static void entries_in_a_zone_go_too(void **state)
{
	struct fixture *fixture = fixture_of(state);

	insert(fixture, &(struct connection){inner, far, far, inner, 1, TEST_ZONE});
	insert(fixture, &(struct connection){inner, far, far, inner, 1, 0});
	assert_deletes(2, 2);
}

static void thousands_go_in_one_pass(void **state)
{
	struct fixture *fixture = fixture_of(state);

	for (uint16_t i = 0; i < MANY; i++) {
		insert(fixture, &(struct connection){inner, far, far, inner, i, 0});
		insert(fixture, &(struct connection){other, far, far, other, i, 0});
	}
	assert_deletes(MANY, 2 * MANY);
}

/* Called between what the dump has read and the deletion: somebody else is faster. */
static bool lose_race(void *context, struct ipv4 address)
{
	struct conntrack_result result;

	(void)context;
	if (!is_inner(NULL, address))
		return false;
	assert_int_equal(conntrack_delete(is_inner, NULL, &result), 0);
	return true;
}

static void an_entry_that_goes_by_itself_is_no_error(void **state)
{
	struct fixture *fixture = fixture_of(state);
	struct conntrack_result result;

	insert(fixture, &(struct connection){inner, far, far, inner, 1, 0});
	assert_int_equal(conntrack_delete(lose_race, NULL, &result), 0);
	assert_int_equal(result.n_entries, 1);
	assert_int_equal(result.n_deleted, 0);
}

/* Gives up its rights in a process of its own, and asks. */
static int error_without_rights(void)
{
	struct conntrack_result result;
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		/* Not in the group, nor a capability: nobody. */
		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(0);
		_exit(-conntrack_delete(is_inner, NULL, &result));
	}
	assert_true(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return -WEXITSTATUS(status);
}

static void without_the_right_to_it_that_is_said(void **state)
{
	fixture_of(state);
	assert_int_equal(error_without_rights(), -EPERM);
}

static void what_is_no_entry_of_ipv4_is_passed_over(void **state)
{
	struct netlink_request request;
	struct conntrack_entry entry;
	struct nfgenmsg *header;

	(void)state;
	netlink_request_init(&request);
	header = netlink_add(
		&request, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW, 0, sizeof *header);
	header->nfgen_family = AF_INET6;
	netlink_put_u32(&request, CTA_ID, 1);
	assert_false(conntrack_decode((const struct nlmsghdr *)request.data, &entry));
	put_tuple(&request, CTA_TUPLE_ORIG, inner, far, 1, 2);
	assert_false(conntrack_decode((const struct nlmsghdr *)request.data, &entry));
	put_tuple(&request, CTA_TUPLE_REPLY, far, bind_address, 2, 1);
	assert_true(conntrack_decode((const struct nlmsghdr *)request.data, &entry));
	assert_true(ipv4_equal(entry.addresses[0], ipv4(inner)));
	assert_true(ipv4_equal(entry.addresses[3], ipv4(bind_address)));
	((struct nlmsghdr *)request.data)->nlmsg_type = NLMSG_MIN_TYPE;
	assert_false(conntrack_decode((const struct nlmsghdr *)request.data, &entry));
}

struct heard {
	size_t n;
	struct ended_flow last;
};

static void hear(void *context, const struct ended_flow *flow)
{
	struct heard *heard = context;

	heard->n++;
	heard->last = *flow;
}

static int open_events(const char *sources, int buffer_size)
{
	int fd = conntrack_events_open(prefix(sources), buffer_size);

	assert_true(fd >= 0);
	return fd;
}

static void end_all(void)
{
	struct conntrack_result result;

	assert_int_equal(conntrack_delete(is_any, NULL, &result), 0);
}

static void the_end_of_a_connection_out_of_the_prefix_is_heard_and_no_others(void **state)
{
	struct fixture *fixture = fixture_of(state);
	struct heard heard = {0};
	int fd = open_events("10.0.0.2/31", BUFFER_SIZE);

	insert(fixture, &(struct connection){"10.0.0.1", far, far, bind_address, 1, 0});
	insert(fixture, &(struct connection){other, far, far, bind_address, 40000, 0});
	insert(fixture, &(struct connection){"10.0.0.4", far, far, bind_address, 3, 0});
	insert(fixture, &(struct connection){far, other, other, far, 4, 0});
	end_all();
	assert_int_equal(conntrack_events_read(fd, MANY, hear, &heard), 1);
	assert_int_equal(conntrack_events_read(fd, MANY, hear, &heard), 0);
	assert_int_equal(heard.n, 1);
	assert_true(ipv4_equal(heard.last.source, ipv4(other)));
	assert_true(ipv4_equal(heard.last.destination, ipv4(far)));
	assert_true(ipv4_equal(heard.last.seen_as, ipv4(bind_address)));
	assert_int_equal(heard.last.source_port, 40000);
	assert_int_equal(heard.last.destination_port, 7);
	assert_int_equal(heard.last.seen_as_port, 40000);
	assert_int_equal(heard.last.protocol, IPPROTO_UDP);
	close(fd);
}

static void what_there_is_no_room_for_is_counted_and_what_is_not_wanted_takes_none(void **state)
{
	struct fixture *fixture = fixture_of(state);
	struct heard heard = {0};
	int fd = open_events("10.0.0.2/32", SMALLEST_BUFFER), n = 0;

	for (uint16_t i = 0; i < 100; i++) {
		insert(fixture, &(struct connection){inner, far, far, inner, i, 0});
		insert(fixture, &(struct connection){other, far, far, other, i, 0});
	}
	assert_int_equal(conntrack_events_lost(fd), 0);
	end_all();
	for (int i = 0; i < 2; i++)
		if (conntrack_events_read(fd, MANY, hear, &heard) == -ENOBUFS)
			n++;
	assert_int_equal(n, 1);
	assert_true(heard.n > 0);
	assert_int_equal(conntrack_events_lost(fd), 100 - (int64_t)heard.n);
	close(fd);
}

/* Once it is open: in a process of its own, without rights. */
static void who_is_passed_the_socket_needs_no_rights_to_hear(void **state)
{
	struct fixture *fixture = fixture_of(state);
	struct heard heard = {0};
	int status, fd = open_events("10.0.0.2/32", BUFFER_SIZE);
	pid_t pid;

	insert(fixture, &(struct connection){inner, far, far, inner, 1, 0});
	end_all();
	pid = fork();
	if (pid == 0) {
		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(1);
		_exit(conntrack_events_read(fd, MANY, hear, &heard) == 1 ? 0 : 2);
	}
	assert_true(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(fd);
}

static void a_notice_that_is_cut_off_anywhere_is_none_or_one_without_what_is_missing(void **state)
{
	struct netlink_request request;
	struct nlmsghdr *message = (struct nlmsghdr *)request.data;
	struct ended_flow flow;
	size_t amounts;
	uint32_t length;

	(void)state;
	netlink_request_init(&request);
	netlink_add(&request, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE, 0,
		sizeof(struct nfgenmsg));
	put_tuple(&request, CTA_TUPLE_ORIG, inner, far, 1, 2);
	put_tuple(&request, CTA_TUPLE_REPLY, far, bind_address, 2, 3);
	amounts = netlink_nest_begin(&request, CTA_COUNTERS_ORIG);
	netlink_put_u8(&request, CTA_COUNTERS_PACKETS, 1); /* of a wrong size */
	netlink_nest_end(&request, amounts);
	length = message->nlmsg_len;
	assert_true(conntrack_ended_decode(message, &flow));
	assert_int_equal(flow.seen_as_port, 3);
	assert_int_equal(flow.out.packets, 0);
	for (uint32_t cut = sizeof *message; cut < length; cut++) {
		message->nlmsg_len = cut;
		if (conntrack_ended_decode(message, &flow))
			assert_true(ipv4_equal(flow.source, ipv4(inner)));
	}
	message->nlmsg_len = sizeof *message;
	assert_false(conntrack_ended_decode(message, &flow));
}

int main(void)
{
#define RULE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		RULE(an_empty_table_is_no_error),
		RULE(an_address_is_found_at_every_place_of_an_entry_and_others_stay),
		RULE(entries_in_a_zone_go_too),
		RULE(thousands_go_in_one_pass),
		RULE(an_entry_that_goes_by_itself_is_no_error),
		RULE(without_the_right_to_it_that_is_said),
		RULE(what_is_no_entry_of_ipv4_is_passed_over),
		RULE(the_end_of_a_connection_out_of_the_prefix_is_heard_and_no_others),
		RULE(what_there_is_no_room_for_is_counted_and_what_is_not_wanted_takes_none),
		RULE(who_is_passed_the_socket_needs_no_rights_to_hear),
		RULE(a_notice_that_is_cut_off_anywhere_is_none_or_one_without_what_is_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
