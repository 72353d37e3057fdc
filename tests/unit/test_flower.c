/* What flower.c writes, against what tc(8) does, and what it reads, against what the kernel says.
 */
#include "addresses.h"

#include <linux/netlink.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>

#include "netlink/attribute.h"
#include "netlink/flower.h"
#include "netlink/request.h"
#include "netlink_captures.h"

enum {
	LO = 1,
	CHAIN = 1,
	MARK = 0x76707270,
	HEADERS = sizeof(struct nlmsghdr) + sizeof(struct tcmsg),
};

static const struct flower_place received = {LO, FLOWER_RECEIVED, CHAIN};
static const struct flower_place sent = {LO, FLOWER_SENT, CHAIN};

static struct flower_peer some_peer(void)
{
	return (struct flower_peer){.inner = ipv4("10.100.0.3"),
		.bind = ipv4("192.0.2.1"),
		.remote = ipv4("198.51.100.7")};
}

/* Attributes, of a message or in a nest. */
struct attributes {
	const uint8_t *bytes;
	size_t length;
};

static struct attributes inside(const struct nlattr *attribute)
{
	return (struct attributes){
		(const uint8_t *)attribute + NLA_HDRLEN, attribute->nla_len - NLA_HDRLEN};
}

static const struct nlattr *find(const struct attributes *all, uint16_t type)
{
	for (size_t at = 0; at + NLA_HDRLEN <= all->length;) {
		const struct nlattr *one = (const struct nlattr *)(all->bytes + at);

		assert_true(one->nla_len >= NLA_HDRLEN && at + one->nla_len <= all->length);
		if ((one->nla_type & NLA_TYPE_MASK) == type)
			return one;
		at += NLA_ALIGN(one->nla_len);
	}
	return NULL;
}

/* Which attributes are nests: of a filter's options and of its action, by their depth. */
static bool is_nest(unsigned int depth, uint16_t type, bool is_matchall)
{
	switch (depth) {
	case 0:
		return type == TCA_OPTIONS;
	case 1:
		return type ==
		       (is_matchall ? (uint16_t)TCA_MATCHALL_ACT : (uint16_t)TCA_FLOWER_ACT);
	case 2:
		return type == 1; /* the first action */
	case 3:
		return type == TCA_ACT_OPTIONS;
	default:
		return false;
	}
}

/* What tc says besides, and the kernel takes for granted: whole addresses, and no flags. */
static bool goes_without_saying(unsigned int depth, const struct nlattr *attribute)
{
	const struct attributes value = inside(attribute);

	if (depth != 1 || value.length != sizeof(uint32_t))
		return false;
	switch (attribute->nla_type) {
	case TCA_FLOWER_KEY_IPV4_SRC_MASK:
	case TCA_FLOWER_KEY_IPV4_DST_MASK:
	case TCA_FLOWER_KEY_ENC_IPV4_SRC_MASK:
	case TCA_FLOWER_KEY_ENC_IPV4_DST_MASK:
		return memcmp(value.bytes, "\xff\xff\xff\xff", value.length) == 0;
	case TCA_FLOWER_FLAGS:
		return memcmp(value.bytes, "\0\0\0\0", value.length) == 0;
	default:
		return false;
	}
}

static void assert_alike(
	struct attributes ours, struct attributes tc, unsigned int depth, bool is_matchall)
{
	size_t n_ours = 0, n_tc = 0;

	for (size_t at = 0; at + NLA_HDRLEN <= ours.length; n_ours++) {
		const struct nlattr *one = (const struct nlattr *)(ours.bytes + at);
		const uint16_t type = one->nla_type & NLA_TYPE_MASK;
		const struct nlattr *other = find(&tc, type);

		if (!other)
			fail_msg("tc has no attribute %u at depth %u", type, depth);
		if (is_nest(depth, type, is_matchall)) {
			assert_alike(inside(one), inside(other), depth + 1, is_matchall);
		} else {
			assert_int_equal(one->nla_len, other->nla_len);
			assert_memory_equal(
				inside(one).bytes, inside(other).bytes, inside(one).length);
		}
		at += NLA_ALIGN(one->nla_len);
	}
	for (size_t at = 0; at + NLA_HDRLEN <= tc.length;) {
		const struct nlattr *one = (const struct nlattr *)(tc.bytes + at);

		n_tc += !goes_without_saying(depth, one) || find(&ours, one->nla_type);
		at += NLA_ALIGN(one->nla_len);
	}
	assert_int_equal(n_ours, n_tc);
}

/* The same message, whatever the order of its attributes. */
static void assert_as_tc(
	const struct netlink_request *request, const uint8_t *tc, size_t length, bool is_matchall)
{
	const struct nlmsghdr *ours = (const struct nlmsghdr *)request->data;
	const struct nlmsghdr *theirs = (const struct nlmsghdr *)tc;

	assert_int_equal(request->error, 0);
	assert_int_equal(ours->nlmsg_len, request->length);
	assert_int_equal(ours->nlmsg_type, theirs->nlmsg_type);
	assert_int_equal(ours->nlmsg_flags, theirs->nlmsg_flags);
	assert_memory_equal(NLMSG_DATA(ours), NLMSG_DATA(theirs), sizeof(struct tcmsg));
	assert_alike((struct attributes){request->data + HEADERS, request->length - HEADERS},
		(struct attributes){tc + HEADERS, length - HEADERS}, 0, is_matchall);
}

#define assert_flower(request, tc) assert_as_tc(&(request), tc, sizeof(tc), false)
#define assert_matchall(request, tc) assert_as_tc(&(request), tc, sizeof(tc), true)

static void the_hook_is_written_as_tc_does(void **state)
{
	struct netlink_request request;

	(void)state;
	netlink_request_init(&request);
	flower_put_hook(&request, LO);
	assert_flower(request, request_tc_hook);
}

static void what_is_dropped_is_written_as_tc_does(void **state)
{
	struct netlink_request request;

	(void)state;
	netlink_request_init(&request);
	flower_put_drop(&request, LO, CHAIN);
	assert_matchall(request, request_tc_drop);
}

static void what_leads_to_a_chain_is_written_as_tc_does(void **state)
{
	const struct flower_endpoint endpoint = {
		.chain = CHAIN, .bind = ipv4("192.0.2.1"), .block = {ipv4("10.100.0.0"), 16}};
	struct netlink_request request;

	(void)state;
	netlink_request_init(&request);
	flower_put_endpoint(&request, LO, FLOWER_RECEIVED, &endpoint);
	assert_flower(request, request_tc_endpoint_received);
	netlink_request_init(&request);
	flower_put_endpoint(&request, LO, FLOWER_SENT, &endpoint);
	assert_flower(request, request_tc_endpoint_sent);
}

static void a_peers_filters_are_written_as_tc_does(void **state)
{
	const struct flower_peer peer = some_peer();
	struct netlink_request request;

	(void)state;
	netlink_request_init(&request);
	flower_put_peer(&request, &received, &peer, MARK, NLM_F_EXCL);
	assert_flower(request, request_tc_peer_received);
	netlink_request_init(&request);
	flower_put_peer(&request, &sent, &peer, 0, NLM_F_EXCL);
	assert_flower(request, request_tc_peer_sent);
}

/* tc has empty options there too. */
static void a_peers_filter_is_removed_by_its_address_as_tc_does_by_the_handle(void **state)
{
	const struct nlmsghdr *tc = (const struct nlmsghdr *)request_tc_peer_removal;
	struct netlink_request request;
	const struct nlmsghdr *ours = (const struct nlmsghdr *)request.data;

	(void)state;
	netlink_request_init(&request);
	flower_put_peer_removal(&request, &sent, some_peer().inner);
	assert_int_equal(request.error, 0);
	assert_int_equal(ours->nlmsg_type, tc->nlmsg_type);
	assert_int_equal(ours->nlmsg_flags, tc->nlmsg_flags);
	assert_memory_equal(NLMSG_DATA(ours), NLMSG_DATA(tc), request.length - NLMSG_HDRLEN);
}

/* Several messages of a request are whole, one behind the other. */
static void a_request_holds_both_filters_of_a_peer_and_its_end(void **state)
{
	const struct flower_peer peer = some_peer();
	struct netlink_request request;
	size_t at = 0;

	(void)state;
	netlink_request_init(&request);
	flower_put_peer(&request, &received, &peer, MARK, 0);
	flower_put_peer(&request, &sent, &peer, 0, 0);
	flower_put_flush(&request, &sent);
	assert_int_equal(request.error, 0);
	assert_int_equal(request.count, 3);
	for (size_t i = 0; i < request.count; i++) {
		const struct nlmsghdr *one = (const struct nlmsghdr *)(request.data + at);

		at += NLMSG_ALIGN(one->nlmsg_len);
	}
	assert_int_equal(at, request.length);
}

static const struct nlmsghdr *message(const uint8_t *bytes)
{
	return (const struct nlmsghdr *)bytes;
}

static void a_peers_filters_are_read_with_what_has_passed(void **state)
{
	const struct flower_peer wanted = some_peer();
	struct flower_peer peer;

	(void)state;
	assert_int_equal(flower_decode_peer(message(reply_tc_peer_sent), &sent, &peer), 1);
	assert_true(ipv4_equal(peer.inner, wanted.inner));
	assert_true(ipv4_equal(peer.bind, wanted.bind));
	assert_true(ipv4_equal(peer.remote, wanted.remote));
	assert_int_equal(peer.bytes, 252);
	assert_int_equal(flower_decode_peer(message(reply_tc_peer_received), &received, &peer), 1);
	assert_true(ipv4_equal(peer.inner, wanted.inner));
	assert_true(ipv4_equal(peer.remote, wanted.remote));
	assert_int_equal(peer.bytes, 0);
}

static void what_is_no_peers_filter_is_none(void **state)
{
	struct flower_peer peer;
	uint64_t packets;

	(void)state;
	assert_int_equal(flower_decode_peer(message(reply_tc_peer_sent), &received, &peer), 0);
	assert_int_equal(flower_decode_peer(message(reply_tc_peer_received), &sent, &peer), 0);
	assert_int_equal(flower_decode_peer(message(reply_tc_drop), &received, &peer), 0);
	assert_int_equal(flower_decode_peer(message(reply_tc_endpoint), &received, &peer), 0);
	assert_false(flower_decode_drop(message(reply_tc_peer_received), &packets));
}

/* None had come when it was taken: the last but one attribute of the options is their number. */
static void what_has_come_to_the_end_of_a_chain_is_read(void **state)
{
	_Alignas(4) uint8_t bytes[sizeof reply_tc_drop];
	const struct nlattr *table[TCA_OPTIONS + 1], *options[TCA_MATCHALL_PCNT + 1];
	const uint64_t many = 0x123456789aULL;
	uint64_t packets = 1;

	(void)state;
	memcpy(bytes, reply_tc_drop, sizeof bytes);
	assert_true(flower_decode_drop(message(bytes), &packets));
	assert_int_equal(packets, 0);
	attributes_of_message(message(bytes), sizeof(struct tcmsg), table, TCA_OPTIONS + 1);
	attributes_of_nest(table[TCA_OPTIONS], options, TCA_MATCHALL_PCNT + 1);
	memcpy(bytes + ((const uint8_t *)options[TCA_MATCHALL_PCNT] - bytes) + NLA_HDRLEN, &many,
		sizeof many);
	assert_true(flower_decode_drop(message(bytes), &packets));
	assert_int_equal(packets, many);
}

/* Cut off anywhere, by its own length: nothing beyond is read (the sanitizer sees to that). */
static void a_filter_that_is_cut_off_is_read_within_its_bounds(void **state)
{
	struct flower_peer peer;
	uint64_t packets;

	(void)state;
	for (uint32_t length = NLMSG_HDRLEN; length < sizeof reply_tc_peer_sent; length++) {
		uint8_t *cut = test_malloc(length);

		memcpy(cut, reply_tc_peer_sent, length);
		((struct nlmsghdr *)(void *)cut)->nlmsg_len = length;
		flower_decode_peer((const struct nlmsghdr *)(void *)cut, &sent, &peer);
		flower_decode_drop((const struct nlmsghdr *)(void *)cut, &packets);
		test_free(cut);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_hook_is_written_as_tc_does),
		cmocka_unit_test(what_is_dropped_is_written_as_tc_does),
		cmocka_unit_test(what_leads_to_a_chain_is_written_as_tc_does),
		cmocka_unit_test(a_peers_filters_are_written_as_tc_does),
		cmocka_unit_test(a_peers_filter_is_removed_by_its_address_as_tc_does_by_the_handle),
		cmocka_unit_test(a_request_holds_both_filters_of_a_peer_and_its_end),
		cmocka_unit_test(a_peers_filters_are_read_with_what_has_passed),
		cmocka_unit_test(what_is_no_peers_filter_is_none),
		cmocka_unit_test(what_has_come_to_the_end_of_a_chain_is_read),
		cmocka_unit_test(a_filter_that_is_cut_off_is_read_within_its_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
