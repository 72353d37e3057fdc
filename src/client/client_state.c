/* Writes and reads the states of clients. Runs in the client, and in `vprox status` and `vprox
 * disconnect`. */
#include "client/client_state.h"

#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/lock.h"
#include "client/instance.h"
#include "client/kept_routes.h"

#define STATE_PREFIX "client-state-"

enum {
	FILE_MODE = 0600,
	PATH_SIZE = 96,
	STATE_SIZE_MAX = 65536,
};

struct state_path {
	char s[PATH_SIZE];
};

static struct state_path path_of(const char *interface, const char *more)
{
	struct state_path path;

	snprintf(path.s, sizeof path.s, RUN_FOLDER "/" STATE_PREFIX "%s%s", interface, more);
	return path;
}

static void append_prefixes(json_t *array, const struct prefix *prefixes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, json_string(prefix_text(prefixes[i]).s));
}

static json_t *json_exceptions(const struct client_config *config)
{
	json_t *array = json_array();
	const struct prefix *defaults;
	size_t n;

	if (config->n_routes == 0)
		return array;
	append_prefixes(array, config->exceptions, config->n_exceptions);
	defaults = kept_routes_defaults(config, &n);
	append_prefixes(array, defaults, n);
	return array;
}

static void add_tunnel(json_t *state, const struct client_facts *facts)
{
	const struct tunnel *tunnel = facts->tunnel;

	json_object_update_new(
		state, json_pack("{s:s, s:s, s:i, s:s, s:s, s:s}", "plane", facts->plane, "address",
			       ipv4_text(tunnel->inner).s, "length", (int)tunnel->length, "gateway",
			       ipv4_text(tunnel_gateway(tunnel)).s, "server_address",
			       ipv4_text(tunnel->server).s, "local", ipv4_text(tunnel->local).s));
}

static json_t *json_of(const struct client_config *config, const struct client_facts *facts)
{
	json_t *routes = json_array();
	json_t *state = json_pack("{s:s, s:s, s:I, s:i, s:s, s:s, s:s, s:b, s:b}", "interface",
		config->interface, "state", facts->state, "since", (json_int_t)facts->since_s,
		"pid", (int)getpid(), "server", config->server, "tunnel",
		config->tunnel == TUNNEL_IPIP ? "ipip" : "wireguard", "fault", facts->fault,
		"echoes", !facts->is_mute, "blocked", facts->is_blocked);

	append_prefixes(routes, config->routes, config->n_routes);
	json_object_set_new(state, "routed", routes);
	json_object_set_new(state, "excepted", json_exceptions(config));
	json_object_set_new(
		state, "ipv6", json_string(config->ipv6 == IPV6_LEAVE ? "leave" : "block"));
	if (facts->tunnel)
		add_tunnel(state, facts);
	return state;
}

/* Whole or not at all: a reader may come at any time. */
static int replace(const char *interface, const char *text)
{
	const struct state_path path = path_of(interface, ""), new = path_of(interface, "~");
	const struct file_beside beside = {.path = new.s};

	return file_replace(path.s, &beside, FILE_MODE, text, strlen(text));
}

int client_state_write(const struct client_config *config, const struct client_facts *facts)
{
	json_t *state = json_of(config, facts);
	auto_free char *text = state ? json_dumps(state, JSON_COMPACT) : NULL;

	json_decref(state);
	return text ? replace(config->interface, text) : -ENOMEM;
}

void client_state_remove(const char *interface)
{
	unlink(path_of(interface, "").s);
	unlink(path_of(interface, "~").s);
}

json_t *client_state_read(const char *interface)
{
	json_t *state = NULL;
	auto_free char *text = NULL;
	size_t length;
	int error = file_read(path_of(interface, "").s, STATE_SIZE_MAX, &text, &length);

	if (error == 0) {
		state = json_loadb(text, length, 0, NULL);
		error = json_is_object(state) ? 0 : -EBADMSG;
	}
	if (error < 0) {
		json_decref(state);
		errno = -error;
		return NULL;
	}
	json_object_set_new(state, "running", json_boolean(instance_is_locked(interface)));
	return state;
}

static int is_state(const struct dirent *entry)
{
	size_t n = strlen(STATE_PREFIX), length = strlen(entry->d_name);

	return strncmp(entry->d_name, STATE_PREFIX, n) == 0 && length > n &&
	       length - n < IF_NAMESIZE && entry->d_name[length - 1] != '~';
}

ssize_t client_state_list(char names[CLIENT_STATE_MAX][IF_NAMESIZE])
{
	struct dirent **entries = NULL;
	int n = scandir(RUN_FOLDER, &entries, is_state, alphasort);
	ssize_t n_names = 0;

	if (n < 0)
		return errno == ENOENT ? 0 : -errno;
	for (int i = 0; i < n; i++) {
		if (n_names < CLIENT_STATE_MAX)
			snprintf(names[n_names++], IF_NAMESIZE, "%s",
				entries[i]->d_name + strlen(STATE_PREFIX));
		free(entries[i]);
	}
	free(entries);
	return n_names;
}
