#include "test.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/version.h"
#include "gate/routes.h"

#define PEER "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=" /* 32 bytes of 1 */
#define SERVER "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=" /* 32 bytes of 9 */
#define ZERO "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define GOOD "{\"PeerPublicKey\":\"" PEER "\"}"

static const char outside[] = "198.51.100.7";

static struct gate_endpoint endpoints[] = {
	{.bind = {0xcb007107}, .block = {{0x0a640000}, 16}, .port = 50227}, /* 10.100.0.0/16 */
	{.bind = {0xcb007108}, .block = {{0x0a650000}, 24}, .port = 50228}, /* 10.101.0.0/24 */
};

static struct routes routes = {.served = {endpoints, sizeof endpoints / sizeof *endpoints}};

static int set_up(void **state)
{
	(void)state;
	for (size_t i = 0; i < routes.served.n; i++)
		memset(endpoints[i].public_key.bytes, 9, KEY_SIZE);
	return bearer_make(&routes.auth.bearer, "secret", NULL);
}

static struct client_address client_at(const char *address)
{
	struct client_address client = {.port = 40000, .local_port = 443};
	struct sockaddr_storage storage = {0};

	if (strchr(address, ':')) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&storage;

		in6->sin6_family = AF_INET6;
		assert_int_equal(inet_pton(AF_INET6, address, &in6->sin6_addr), 1);
	} else {
		struct sockaddr_in *in = (struct sockaddr_in *)&storage;

		in->sin_family = AF_INET;
		assert_int_equal(inet_pton(AF_INET, address, &in->sin_addr), 1);
	}
	client_address_set(&client, &storage);
	client.port = 40000;
	return client;
}

/* One request, as far as it goes: to an answer, or to a request to the broker. */
struct asked {
	const char *method, *path, *from, *bearer, *body;
	bool draining;
	uint16_t endpoint; /* one more than there are: one that is gone */
};

struct outcome {
	bool asks_broker;
	struct ipc_request request;
	struct response response;
	const struct http_route *route;
	struct client_address client;
	struct client_name name;
};

static struct outcome ask(struct asked asked)
{
	char authorization[64];
	struct http_head head = {.method = asked.method, .path = asked.path};
	struct outcome outcome = {.client = client_at(asked.from ? asked.from : outside)};
	const char *body = asked.body ? asked.body : "";

	outcome.client.local = (struct ipv4){endpoints[0].bind.value + asked.endpoint};
	if (asked.bearer) {
		snprintf(authorization, sizeof authorization, "Bearer %s", asked.bearer);
		head.authorization = authorization;
	}
	outcome.route =
		routes_admit(&routes, &head, &outcome.client, &outcome.response, &outcome.name);
	if (outcome.route)
		outcome.asks_broker = routes_serve(&routes, outcome.route, &outcome.client,
			asked.draining, body, strlen(body), &outcome.response, &outcome.request);
	return outcome;
}

static void assert_answer(const struct outcome *outcome, unsigned int status, const char *body)
{
	assert_false(outcome->asks_broker);
	assert_int_equal(outcome->response.status, status);
	assert_string_equal(outcome->response.body, body);
}

/* Each of these is wrong in several ways; the first check in the contract's order is the one that
 * answers. */
static void checks_come_in_the_order_of_the_contract(void **state)
{
	static const char inside[] = "10.101.0.5";
	static const struct {
		struct asked asked;
		unsigned int status;
		const char *text;
	} rows[] = {
		{{"GET", "/nowhere", inside}, 404, "not found\n"},
		{{"POST", "/Connect", inside}, 404, "not found\n"},
		{{"POST", "/connect/", inside}, 404, "not found\n"},
		{{"POST", "", outside}, 404, "not found\n"},
		{{"GET", "/connect", inside}, 403,
			"control-plane requests must originate outside the VPN\n"},
		{{"GET", "/version", inside, "secret"}, 403,
			"control-plane requests must originate outside the VPN\n"},
		{{"POST", "/", inside}, 403,
			"control-plane requests must originate outside the VPN\n"},
		{{"POST", "/connect", inside, "wrong", "[]", true}, 403,
			"control-plane requests must originate outside the VPN\n"},
		{{"GET", "/connect", outside}, 405, "method not allowed\n"},
		{{"HEAD", "/version", outside}, 405, "method not allowed\n"},
		{{"OPTIONS", "/healthz", outside}, 405, "method not allowed\n"},
		{{"post", "/connect", outside, "secret", GOOD}, 405, "method not allowed\n"},
		{{"POST", "/version", outside, "secret"}, 405, "method not allowed\n"},
		{{"POST", "/connect", outside, NULL, "[]", true}, 401, "unauthorized\n"},
		{{"POST", "/connect", outside, "wrong", GOOD}, 401, "unauthorized\n"},
		{{"POST", "/connect-ipip", outside, "wrong"}, 401, "unauthorized\n"},
		{{"POST", "/disconnect", outside, "wrong"}, 401, "unauthorized\n"},
		{{"POST", "/disconnect-ipip", outside, "wrong"}, 401, "unauthorized\n"},
		{{"POST", "/relinquish", outside, "wrong"}, 401, "unauthorized\n"},
		{{"GET", "/version", outside, NULL}, 401, "unauthorized\n"},
		{{"POST", "/connect", outside, "secret", "[]", true}, 400,
			"failed to parse request body\n"},
		{{"POST", "/disconnect", "2001:db8::1", "secret", ""}, 400,
			"failed to parse request body\n"},
		{{"POST", "/connect", outside, "secret", "{}", true}, 400,
			"invalid peer public key\n"},
		{{"POST", "/connect", outside, "secret", "{\"PeerPublicKey\":\"" ZERO "\"}"}, 400,
			"invalid peer public key\n"},
		{{"POST", "/connect", outside, "secret", "{\"PeerPublicKey\":\"" SERVER "\"}"}, 400,
			"invalid peer public key\n"},
		{{"POST", "/connect-ipip", "2001:db8::1", "secret", "", true}, 400,
			"ipv4 client address required\n"},
		{{"POST", "/disconnect-ipip", "2001:db8::1", "secret"}, 400,
			"ipv4 client address required\n"},
		{{"POST", "/connect", outside, "secret", GOOD, true}, 503,
			"server shutting down\n"},
		{{"POST", "/connect-ipip", outside, "secret", "", true}, 503,
			"server shutting down\n"},
		{{"POST", "/relinquish", outside, "secret", "", true}, 503,
			"server shutting down\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct outcome outcome = ask(rows[i].asked);

		assert_answer(&outcome, rows[i].status, rows[i].text);
		assert_string_equal(outcome.response.type, "text/plain");
		assert_int_equal(outcome.response.retry_after_s > 0, rows[i].status == 503);
	}
}

static void a_request_that_cannot_be_read_says_why(void **state)
{
	struct response response;

	(void)state;
	routes_reject(HTTP_HEAD_TOO_LARGE, &response);
	assert_int_equal(response.status, 431);
	assert_string_equal(response.body, "request headers too large\n");
	routes_reject(HTTP_BODY_TOO_LARGE, &response);
	assert_int_equal(response.status, 413);
	assert_string_equal(response.body, "request body too large\n");
	routes_reject(HTTP_BAD, &response);
	assert_int_equal(response.status, 400);
	assert_string_equal(response.body, "bad request\n");
}

static void a_wrong_method_is_told_the_right_one(void **state)
{
	struct outcome outcome = ask((struct asked){"GET", "/connect"});

	(void)state;
	assert_string_equal(outcome.response.allow, "POST");
	outcome = ask((struct asked){"HEAD", "/version"});
	assert_string_equal(outcome.response.allow, "GET");
	outcome = ask((struct asked){"PUT", "/"});
	assert_string_equal(outcome.response.allow, "GET, HEAD");
	outcome = ask((struct asked){"GET", "/nowhere"});
	assert_null(outcome.response.allow);
}

static void health_and_the_root_can_be_asked_from_inside_a_tunnel_too(void **state)
{
	struct outcome outcome = ask((struct asked){"GET", "/", "10.100.255.255"});

	(void)state;
	assert_answer(
		&outcome, 200, "vprox ok. received 10.100.255.255:40000 -> 203.0.113.7:443\n");
	outcome = ask((struct asked){"GET", "/", "2001:db8::1", .endpoint = 1});
	assert_answer(&outcome, 200, "vprox ok. received [2001:db8::1]:40000 -> 203.0.113.8:443\n");
	outcome = ask((struct asked){"GET", "/healthz", "10.100.0.1", .draining = true});
	assert_answer(&outcome, 200, "ok\n");
}

static void a_mapped_address_is_the_ipv4_address_in_it(void **state)
{
	struct outcome outcome = ask((struct asked){"POST", "/connect", "::ffff:10.100.0.1"});

	(void)state;
	assert_int_equal(outcome.response.status, 403);
}

static void the_version_is_for_those_with_the_bearer(void **state)
{
	struct outcome outcome = ask((struct asked){"GET", "/version", outside, "secret"});
	char expected[RESPONSE_BODY_MAX];

	(void)state;
	snprintf(expected, sizeof expected, "{\"git_commit\":\"%s\",\"git_tag\":\"%s\"}",
		version_git_commit, version_git_tag);
	assert_answer(&outcome, 200, expected);
	assert_string_equal(outcome.response.type, "application/json");
}

static void each_post_becomes_one_request_to_the_broker(void **state)
{
	static const struct {
		const char *path;
		enum ipc_operation operation;
		bool has_key;
	} posts[] = {
		{"/connect", IPC_CONNECT_WIREGUARD, true},
		{"/connect-ipip", IPC_CONNECT_IPIP, false},
		{"/disconnect", IPC_DISCONNECT_WIREGUARD, true},
		{"/disconnect-ipip", IPC_DISCONNECT_IPIP, false},
		{"/relinquish", IPC_RELINQUISH, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof posts / sizeof *posts; i++) {
		struct outcome outcome = ask((struct asked){
			"POST", posts[i].path, outside, "secret", GOOD, .endpoint = 1});
		struct ipc_request decoded;

		assert_true(outcome.asks_broker);
		assert_int_equal(
			ipc_decode_request(&outcome.request, sizeof outcome.request, &decoded), 0);
		assert_int_equal(decoded.operation, posts[i].operation);
		assert_int_equal(decoded.key.bytes[0], posts[i].has_key ? 1 : 0);
	}
}

static void what_the_broker_says_becomes_the_answer(void **state)
{
	static const struct {
		const char *path;
		enum ipc_status status;
		unsigned int http;
		const char *body;
	} answers[] = {
		{"/connect", IPC_OK, 200,
			"{\"AssignedAddr\":\"10.101.0.2/24\",\"ServerPublicKey\":\"" SERVER
			"\",\"ServerListenPort\":50228}"},
		{"/connect-ipip", IPC_OK, 200, "{\"AssignedAddr\":\"10.101.0.2/24\"}"},
		{"/disconnect", IPC_OK, 200, "{\"Status\":\"success\"}"},
		{"/disconnect-ipip", IPC_OK, 200, "{\"Status\":\"success\"}"},
		{"/relinquish", IPC_OK, 200, "{\"Status\":\"relinquished\"}"},
		{"/connect", IPC_TOO_MANY_PEERS, 429, "too many peers from this address\n"},
		{"/connect-ipip", IPC_TOO_MANY_PEERS, 429, "too many peers from this address\n"},
		{"/connect-ipip", IPC_OTHER_CLIENT, 409,
			"another client has the tunnel to this address\n"},
		{"/disconnect-ipip", IPC_OTHER_CLIENT, 409,
			"another client has the tunnel to this address\n"},
		{"/relinquish", IPC_NOT_ALLOWED, 403,
			"only who shows the password can relinquish\n"},
		{"/connect", IPC_POOL_EXHAUSTED, 503, "no more IP addresses available\n"},
		{"/connect-ipip", IPC_POOL_EXHAUSTED, 503, "no more IP addresses available\n"},
		{"/connect", IPC_SHUTTING_DOWN, 503, "server shutting down\n"},
		{"/connect", IPC_NOT_SERVED, 503, "this address is not served here any more\n"},
		{"/connect", IPC_INVALID_KEY, 400, "invalid peer public key\n"},
		{"/connect", IPC_FAILED, 500, "failed to configure WireGuard peer\n"},
		{"/connect-ipip", IPC_FAILED, 500, "failed to create IPIP tunnel\n"},
		{"/disconnect", IPC_FAILED, 500, "failed to cleanup peer\n"},
		{"/disconnect-ipip", IPC_FAILED, 500, "failed to cleanup peer\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
		struct outcome outcome = ask((struct asked){
			"POST", answers[i].path, outside, "secret", GOOD, .endpoint = 1});
		struct ipc_reply reply = {.status = (uint16_t)answers[i].status,
			.address = {answers[i].status == IPC_OK ? 0x0a650002 : 0}};

		routes_answer(&routes, outcome.route, &outcome.client, &reply, &outcome.response);
		assert_int_equal(outcome.response.status, answers[i].http);
		assert_string_equal(outcome.response.body, answers[i].body);
		assert_int_equal(outcome.response.retry_after_s > 0,
			answers[i].http == 503 || answers[i].http == 429 || answers[i].http == 409);
		assert_string_equal(outcome.response.type,
			answers[i].http == 200 ? "application/json" : "text/plain");
	}
}

static void what_is_announced_comes_with_each_tunnel_and_with_nothing_else(void **state)
{
	static const char *const paths[] = {
		"/connect", "/connect-ipip", "/disconnect", "/disconnect-ipip", "/relinquish"};
	const struct ipc_reply reply = {.status = IPC_OK, .address = {0x0a650002}};

	(void)state;
	routes.announced = (struct resolvers){3, {{0x09090909}, {0xdededede}, {0xdededee0}}};
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		struct outcome outcome = ask(
			(struct asked){"POST", paths[i], outside, "secret", GOOD, .endpoint = 1});
		const char *found;

		routes_answer(&routes, outcome.route, &outcome.client, &reply, &outcome.response);
		found = strstr(outcome.response.body,
			",\"DNS\":[\"9.9.9.9\",\"222.222.222.222\",\"222.222.222.224\"]}");
		assert_int_equal(found != NULL, strncmp(paths[i], "/connect", 8) == 0);
	}
	routes.announced = (struct resolvers){0};
}

static void what_is_asked_of_an_endpoint_that_is_gone_is_refused_for_now(void **state)
{
	const struct ipc_reply given = {.status = IPC_OK, .address = {0x0a650002}};
	struct outcome outcome =
		ask((struct asked){"POST", "/connect", outside, "secret", GOOD, .endpoint = 2});

	(void)state;
	assert_false(outcome.asks_broker);
	assert_answer(&outcome, 503, "this address is not served here any more\n");
	assert_true(outcome.response.retry_after_s > 0);
	outcome = ask((struct asked){"GET", "/healthz", .endpoint = 2});
	assert_answer(&outcome, 200, "ok\n");

	/* It went after the broker was asked. */
	outcome = ask((struct asked){"POST", "/connect-ipip", outside, "secret", NULL});
	assert_true(outcome.asks_broker);
	outcome.client.local.value += 2;
	routes_answer(&routes, outcome.route, &outcome.client, &given, &outcome.response);
	assert_int_equal(outcome.response.status, 503);
}

static void an_endpoint_comes_goes_and_comes_with_other_numbers(void **state)
{
	struct served_set served = {0};
	const struct ipv4 inner = {0x0a650005};

	(void)state;
	assert_int_equal(served_add(&served, &endpoints[0]), 0);
	assert_false(served_is_inner(&served, inner));
	assert_int_equal(served_add(&served, &endpoints[1]), 0);
	assert_true(served_is_inner(&served, inner));
	served_remove(&served, endpoints[0].bind);
	served_remove(&served, endpoints[0].bind);
	assert_null(served_find(&served, endpoints[0].bind));
	assert_int_equal(served_find(&served, endpoints[1].bind)->port, 50228);
	endpoints[1].port = 4;
	assert_int_equal(served_add(&served, &endpoints[1]), 0);
	endpoints[1].port = 50228;
	assert_int_equal(served.n, 1);
	assert_int_equal(served_find(&served, endpoints[1].bind)->port, 4);
	served_free(&served);
}

static void every_answer_has_its_length_and_ends_the_connection(void **state)
{
	char buffer[RESPONSE_MAX];
	struct response response;
	size_t n;

	(void)state;
	response_set(&response, 405, response_plain, "no\n");
	response.allow = "GET";
	n = response_write(&response, true, 0, buffer);
	assert_int_equal(n, strlen(buffer));
	assert_string_equal(buffer, "HTTP/1.1 405 Method Not Allowed\r\n"
				    "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
				    "Content-Type: text/plain\r\n"
				    "Content-Length: 3\r\n"
				    "Connection: close\r\n"
				    "Allow: GET\r\n"
				    "\r\n"
				    "no\n");
	response.retry_after_s = 5;
	n = response_write(&response, false, 0, buffer);
	assert_non_null(strstr(buffer, "\r\nRetry-After: 5\r\n"));
	assert_string_equal(buffer + n - 4, "\r\n\r\n");
	assert_non_null(strstr(buffer, "Content-Length: 3\r\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checks_come_in_the_order_of_the_contract),
		cmocka_unit_test(a_request_that_cannot_be_read_says_why),
		cmocka_unit_test(a_wrong_method_is_told_the_right_one),
		cmocka_unit_test(health_and_the_root_can_be_asked_from_inside_a_tunnel_too),
		cmocka_unit_test(a_mapped_address_is_the_ipv4_address_in_it),
		cmocka_unit_test(the_version_is_for_those_with_the_bearer),
		cmocka_unit_test(each_post_becomes_one_request_to_the_broker),
		cmocka_unit_test(what_the_broker_says_becomes_the_answer),
		cmocka_unit_test(what_is_announced_comes_with_each_tunnel_and_with_nothing_else),
		cmocka_unit_test(what_is_asked_of_an_endpoint_that_is_gone_is_refused_for_now),
		cmocka_unit_test(an_endpoint_comes_goes_and_comes_with_other_numbers),
		cmocka_unit_test(every_answer_has_its_length_and_ends_the_connection),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
