/* Parses a grant. Runs in the request process, on what a server sent. */
#include "client/grant.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

static int read_address(const json_t *value, struct tunnel *tunnel)
{
	const char *text = json_string_value(value), *slash = text ? strchr(text, '/') : NULL;
	char address[sizeof "255.255.255.255"];
	struct prefix prefix;

	/* with its host bits: prefix_parse() masks them off */
	if (!slash || (size_t)(slash - text) >= sizeof address || prefix_parse(text, &prefix) < 0)
		return -EBADMSG;
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = '\0';
	tunnel->length = prefix.length;
	return ipv4_parse(address, &tunnel->inner) < 0 ? -EBADMSG : 0;
}

static int read_key(const json_t *value, struct tunnel *tunnel)
{
	const char *text = json_string_value(value);

	return text && key_parse(text, strlen(text), &tunnel->server_key) == 0 ? 0 : -EBADMSG;
}

static int read_port(const json_t *value, struct tunnel *tunnel)
{
	json_int_t port = json_integer_value(value);

	if (!json_is_integer(value) || port < 1 || port > UINT16_MAX)
		return -EBADMSG;
	tunnel->port = (uint16_t)port;
	return 0;
}

int grant_parse(const char *body, size_t length, enum tunnel_kind kind, struct tunnel *tunnel)
{
	json_t *object = json_loadb(body, length, 0, NULL);
	int error = read_address(json_object_get(object, "AssignedAddr"), tunnel);

	if (error == 0 && kind == TUNNEL_WIREGUARD)
		error = read_key(json_object_get(object, "ServerPublicKey"), tunnel);
	if (error == 0 && kind == TUNNEL_WIREGUARD)
		error = read_port(json_object_get(object, "ServerListenPort"), tunnel);
	json_decref(object);
	return error;
}

void grant_parse_resolvers(const char *body, size_t length, struct resolvers *resolvers)
{
	json_t *object = json_loadb(body, length, 0, NULL);
	const json_t *list = json_object_get(object, "DNS");

	*resolvers = (struct resolvers){0};
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *text = json_string_value(json_array_get(list, i));
		struct ipv4 address;

		if (text && ipv4_parse(text, &address) == 0)
			resolvers_add(resolvers, address);
	}
	json_decref(object);
}
