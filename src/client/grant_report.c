/* Writes --json, and the log lines of an assigned address. Runs in the client. */
#include "client/grant_report.h"

#include <stdio.h>

#include <jansson.h>

#include "base/log.h"

static void write_json(
	const struct client_config *config, const struct tunnel *tunnel, const char *plane)
{
	bool wireguard = config->tunnel == TUNNEL_WIREGUARD;
	json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:i, s:s, s:s, s:s}", "interface",
		config->interface, "tunnel", wireguard ? "wireguard" : "ipip", "plane", plane,
		"address", ipv4_text(tunnel->inner).s, "length", (int)tunnel->length, "gateway",
		ipv4_text(tunnel_gateway(tunnel)).s, "server", ipv4_text(tunnel->server).s, "local",
		ipv4_text(tunnel->local).s);

	if (object && wireguard) {
		json_object_set_new(
			object, "server_key", json_string(key_text(&tunnel->server_key).s));
		json_object_set_new(object, "server_port", json_integer(tunnel->port));
	}
	if (object && json_dumpf(object, stdout, JSON_COMPACT) == 0)
		fputc('\n', stdout);
	fflush(stdout);
	json_decref(object);
}

void grant_report(
	const struct client_config *config, const struct tunnel *tunnel, const char *plane)
{
	const struct ipv4_text inner = ipv4_text(tunnel->inner);

	if (config->json)
		write_json(config, tunnel, plane);
	log_info("%s has %s/%u from %s (%s)", config->interface, inner.s, tunnel->length,
		config->server, ipv4_text(tunnel->server).s);
	if (!prefix_is_private((struct prefix){tunnel->inner, 32}))
		log_warning("%s is a public address: whoever has it elsewhere cannot be reached "
			    "from this host",
			inner.s);
}
