/* The paths, the checks before the broker is asked, and the texts of all answers. Runs in the gate.
 */
#include "gate/routes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/version.h"
#include "gate/request_body.h"

enum {
	POOL_RETRY_S = 5, /* addresses become free when idle peers are removed: --reap-interval */
	SHUTDOWN_RETRY_S = 1, /* the next server may be there */
	RIVAL_RETRY_S = 10, /* the other client's tunnel may be silent by then */
};

typedef void serve_fn(const struct routes *routes, const struct client_address *client,
	struct response *response);

struct http_route {
	enum gate_path path;
	const char *method;
	bool also_head; /* HEAD is answered as GET, without the body: RFC 9110, 9.3.2 */
	bool from_tunnel; /* may be asked for from inside a tunnel */
	bool needs_bearer;
	serve_fn *serve; /* answers it without the broker; else: */
	enum ipc_operation operation;
	bool has_key; /* the body has the peer's key */
	bool needs_ipv4; /* the peer is the client's address */
	const char *failure; /* when the data plane refused */
};

/* The reason is for the counts: ipc/gate_counts.h. */
static void refuse(
	struct response *response, unsigned int status, enum gate_refusal reason, const char *text)
{
	response_set(response, status, response_plain, "%s\n", text);
	response->refusal = reason;
}

/* Says when it is worth asking again. */
static void refuse_for_now(struct response *response, unsigned int status, enum gate_refusal reason,
	const char *text, unsigned int retry_after_s)
{
	refuse(response, status, reason, text);
	response->retry_after_s = retry_after_s;
}

static void serve_root(
	const struct routes *routes, const struct client_address *client, struct response *response)
{
	(void)routes;
	response_set(response, 200, response_plain, "vprox ok. received %s -> %s:%u\n",
		client_address_text(client).s, ipv4_text(client->local).s, client->local_port);
}

static void serve_health(
	const struct routes *routes, const struct client_address *client, struct response *response)
{
	(void)routes;
	(void)client;
	response_set(response, 200, response_plain, "ok\n");
}

static void serve_version(
	const struct routes *routes, const struct client_address *client, struct response *response)
{
	(void)routes;
	(void)client;
	response_set(response, 200, response_json, "{\"git_commit\":\"%s\",\"git_tag\":\"%s\"}",
		version_git_commit, version_git_tag);
}

static const char cannot_configure[] = "failed to configure WireGuard peer";
static const char cannot_tunnel[] = "failed to create IPIP tunnel";
static const char cannot_clean_up[] = "failed to cleanup peer";

static const struct http_route table[] = {
	{GATE_PATH_ROOT, "GET", .also_head = true, .from_tunnel = true, .serve = serve_root},
	{GATE_PATH_HEALTH, "GET", .also_head = true, .from_tunnel = true, .serve = serve_health},
	{GATE_PATH_VERSION, "GET", .needs_bearer = true, .serve = serve_version},
	{GATE_PATH_CONNECT, "POST", .needs_bearer = true, .operation = IPC_CONNECT_WIREGUARD,
		.has_key = true, .failure = cannot_configure},
	{GATE_PATH_CONNECT_IPIP, "POST", .needs_bearer = true, .operation = IPC_CONNECT_IPIP,
		.needs_ipv4 = true, .failure = cannot_tunnel},
	{GATE_PATH_DISCONNECT, "POST", .needs_bearer = true, .operation = IPC_DISCONNECT_WIREGUARD,
		.has_key = true, .failure = cannot_clean_up},
	{GATE_PATH_DISCONNECT_IPIP, "POST", .needs_bearer = true, .operation = IPC_DISCONNECT_IPIP,
		.needs_ipv4 = true, .failure = cannot_clean_up},
	{GATE_PATH_RELINQUISH, "POST", .needs_bearer = true, .operation = IPC_RELINQUISH,
		.failure = "failed to relinquish"},
};

void routes_reject(enum http_event event, struct response *response)
{
	switch (event) {
	case HTTP_HEAD_TOO_LARGE:
		return refuse(response, 431, GATE_REFUSED_MALFORMED, "request headers too large");
	case HTTP_BODY_TOO_LARGE:
		return refuse(response, 413, GATE_REFUSED_MALFORMED, "request body too large");
	default:
		return refuse(response, 400, GATE_REFUSED_MALFORMED, "bad request");
	}
}

static const struct http_route *find(const char *path)
{
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (strcmp(path, gate_path_names[table[i].path]) == 0)
			return &table[i];
	return NULL;
}

static bool is_in_a_tunnel(const struct routes *routes, const struct client_address *client)
{
	struct ipv4 source;

	return client_address_ipv4(client, &source) && served_is_inner(&routes->served, source);
}

/* The client can ask another host, or this one when it has the address again. */
static void refuse_address(struct response *response)
{
	refuse_for_now(response, 503, GATE_REFUSED_NOT_SERVED,
		"this address is not served here any more", SHUTDOWN_RETRY_S);
}

static bool has_method(const struct http_route *route, const char *method)
{
	return strcmp(method, route->method) == 0 ||
	       (route->also_head && strcmp(method, "HEAD") == 0);
}

void routes_refuse_bearer(struct response *response)
{
	refuse(response, 401, GATE_REFUSED_PASSWORD, "unauthorized");
}

const struct http_route *routes_admit(const struct routes *routes, const struct http_head *head,
	const struct client_address *client, struct response *response, struct client_name *name)
{
	const struct http_route *route = find(head->path);
	bool right_method = route && has_method(route, head->method);
	enum auth_verdict verdict = AUTH_ACCEPTED;

	response->status = 0;

	response->path = route ? route->path : GATE_PATH_OTHER;
	if (!route) {
		refuse(response, 404, GATE_REFUSED_MALFORMED, "not found");
	} else if (!(route->from_tunnel && right_method) && is_in_a_tunnel(routes, client)) {
		refuse(response, 403, GATE_REFUSED_SOURCE,
			"control-plane requests must originate outside the VPN");
	} else if (!right_method) {
		refuse(response, 405, GATE_REFUSED_MALFORMED, "method not allowed");
		response->allow = route->also_head ? "GET, HEAD" : route->method;
	} else {
		if (route->needs_bearer)
			verdict = auth_check(&routes->auth, head->authorization, name);
		if (verdict == AUTH_ACCEPTED)
			return route;
		if (verdict == AUTH_REFUSED)
			routes_refuse_bearer(response);
	}
	return NULL;
}

/* False with the response set if there is no key that a peer could have. */
static bool read_key(const struct gate_endpoint *endpoint, const char *body, size_t length,
	struct response *response, struct key *key)
{
	int error = request_body_parse(body, length, key);

	if (error == -EBADMSG)
		refuse(response, 400, GATE_REFUSED_MALFORMED, "failed to parse request body");
	else if (error < 0 || key_equal(key, &endpoint->public_key))
		refuse(response, 400, GATE_REFUSED_MALFORMED, "invalid peer public key");
	else
		return true;
	return false;
}

bool routes_serve(const struct routes *routes, const struct http_route *route,
	const struct client_address *client, bool draining, const char *body, size_t length,
	struct response *response, struct ipc_request *request)
{
	const struct gate_endpoint *endpoint = served_find(&routes->served, client->local);
	struct ipv4 source;

	if (route->serve) {
		route->serve(routes, client, response);
		return false;
	}
	*request = (struct ipc_request){
		.version = IPC_VERSION, .operation = (uint16_t)route->operation};
	if (!endpoint) {
		refuse_address(response);
		return false;
	}
	if (route->has_key && !read_key(endpoint, body, length, response, &request->key))
		return false;
	if (route->needs_ipv4 && !client_address_ipv4(client, &source)) {
		refuse(response, 400, GATE_REFUSED_SOURCE, "ipv4 client address required");
		return false;
	}
	if (draining)
		refuse_for_now(response, 503, GATE_REFUSED_STOPPING, "server shutting down",
			SHUTDOWN_RETRY_S);
	return !draining;
}

/* A field of JSON and the comma before it; "" where nothing is announced, and the answer is as it
 * was before there was such a field. */
struct announcement {
	char s[sizeof ",\"DNS\":[]" + RESOLVERS_MAX * sizeof "\"255.255.255.255\","];
};

static struct announcement announcement(const struct resolvers *announced)
{
	struct announcement text = {""};
	size_t used = 0;

	for (uint32_t i = 0; i < announced->n; i++)
		used += (size_t)snprintf(text.s + used, sizeof text.s - used, "%s\"%s\"%s",
			i == 0 ? ",\"DNS\":[" : ",", ipv4_text(announced->addresses[i]).s,
			i + 1 == announced->n ? "]" : "");
	return text;
}

static void answer_ok(const struct routes *routes, const struct gate_endpoint *endpoint,
	const struct http_route *route, const struct ipc_reply *reply, struct response *response)
{
	struct ipv4_text inner = ipv4_text(reply->address);
	unsigned int length = endpoint->block.length;

	switch (route->operation) {
	case IPC_CONNECT_WIREGUARD:
		return response_set(response, 200, response_json,
			"{\"AssignedAddr\":\"%s/%u\",\"ServerPublicKey\":\"%s\","
			"\"ServerListenPort\":%u%s}",
			inner.s, length, key_text(&endpoint->public_key).s, endpoint->port,
			announcement(&routes->announced).s);
	case IPC_CONNECT_IPIP:
		return response_set(response, 200, response_json, "{\"AssignedAddr\":\"%s/%u\"%s}",
			inner.s, length, announcement(&routes->announced).s);
	case IPC_RELINQUISH:
		return response_set(response, 200, response_json, "{\"Status\":\"relinquished\"}");
	default:
		return response_set(response, 200, response_json, "{\"Status\":\"success\"}");
	}
}

void routes_answer(const struct routes *routes, const struct http_route *route,
	const struct client_address *client, const struct ipc_reply *reply,
	struct response *response)
{
	const struct gate_endpoint *endpoint = served_find(&routes->served, client->local);

	if (!endpoint)
		return refuse_address(response);
	switch (reply->status) {
	case IPC_OK:
		return answer_ok(routes, endpoint, route, reply, response);
	case IPC_TOO_MANY_PEERS:
		return refuse_for_now(response, 429, GATE_REFUSED_LIMIT,
			"too many peers from this address", POOL_RETRY_S);
	case IPC_TOO_MANY_OF_NAME:
		return refuse_for_now(response, 429, GATE_REFUSED_LIMIT,
			"too many peers of this name", POOL_RETRY_S);
	case IPC_UNAUTHORIZED:
		return refuse(response, 401, GATE_REFUSED_TOKEN, "unauthorized");
	case IPC_POOL_EXHAUSTED:
		return refuse_for_now(response, 503, GATE_REFUSED_POOL,
			"no more IP addresses available", POOL_RETRY_S);
	case IPC_SHUTTING_DOWN:
		return refuse_for_now(response, 503, GATE_REFUSED_STOPPING, "server shutting down",
			SHUTDOWN_RETRY_S);
	case IPC_NOT_SERVED:
		return refuse_address(response);
	case IPC_OTHER_CLIENT:
		return refuse_for_now(response, 409, GATE_REFUSED_RIVAL,
			"another client has the tunnel to this address", RIVAL_RETRY_S);
	case IPC_NOT_ALLOWED:
		return refuse(response, 403, GATE_REFUSED_TOKEN,
			"only who shows the password can relinquish");
	case IPC_WRONG_SOURCE:
		return refuse(response, 500, GATE_REFUSED_SOURCE, route->failure);
	case IPC_INVALID_KEY:
		return refuse(response, 400, GATE_REFUSED_MALFORMED, "invalid peer public key");
	default:
		return refuse(response, 500, GATE_REFUSED_FAILED, route->failure);
	}
}
