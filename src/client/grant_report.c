/* Writes --json. Runs in the client. */
#include "client/grant_report.h"

#include <jansson.h>

void grant_report(FILE *out, const struct client_config *config, const struct tunnel *tunnel,
	const char *plane)
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
	if (object && json_dumpf(object, out, JSON_COMPACT) == 0)
		fputc('\n', out);
	fflush(out);
	json_decref(object);
}
