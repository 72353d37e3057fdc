/* `vprox status`: what the clients of this host tell of themselves. One process, which root starts.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "base/log.h"
#include "base/rights.h"
#include "client/client_state.h"
#include "cmd/command.h"
#include "cmd/units.h"
#include "cmd/usage.h"
#include "cmd/values.h"
#include "netlink/link.h"
#include "netlink/socket.h"
#include "netlink/stats.h"

enum { JSON_SPACES = 2, MS_PER_S = 1000 };

struct status_options {
	bool json;
};

/* What the kernel knows of the interface. */
static void add_stats(struct netlink *netlink, unsigned int ifindex, json_t *state)
{
	struct link_stats *stats = NULL;
	size_t n = 0;

	if (stats_dump(netlink, &stats, &n) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		if (stats[i].ifindex != ifindex)
			continue;
		json_object_set_new(state, "received", json_integer((json_int_t)stats[i].received));
		json_object_set_new(state, "sent", json_integer((json_int_t)stats[i].sent));
	}
	free(stats);
}

static void add_link(json_t *state)
{
	struct netlink *netlink = NULL;
	struct link link;

	if (netlink_open(NETLINK_ROUTE, &netlink) < 0)
		return;
	if (link_get(netlink, json_string_value(json_object_get(state, "interface")), &link) == 0) {
		json_object_set_new(state, "mtu", json_integer(link.mtu));
		add_stats(netlink, link.ifindex, state);
	}
	netlink_close(netlink);
}

static const char *text_of(const json_t *state, const char *key)
{
	const char *text = json_string_value(json_object_get(state, key));

	return text ? text : "";
}

static uint64_t number_of(const json_t *state, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(state, key));
}

static bool is_true(const json_t *state, const char *key)
{
	return json_is_true(json_object_get(state, key));
}

/* Left by --once, it is as good as one that is kept. */
static bool is_up(const json_t *state)
{
	return (strcmp(text_of(state, "state"), "up") == 0 && is_true(state, "running")) ||
	       strcmp(text_of(state, "state"), "left up") == 0;
}

static void print_list(const char *what, const json_t *array)
{
	size_t i;
	json_t *value;

	if (json_array_size(array) == 0)
		return;
	printf("  %s:", what);
	json_array_foreach(array, i, value)
		printf("%s %s", i > 0 ? "," : "", json_string_value(value));
	putchar('\n');
}

static void print_leftover(const char *interface)
{
	printf("%s: left over, as its client was killed: start that again, which takes the tunnel "
	       "over, or clear it with `vprox disconnect %s`\n",
		interface, interface);
}

static void print_state(const json_t *state)
{
	uint64_t since_s = number_of(state, "since"), now_s = (uint64_t)time(NULL);
	bool is_gone =
		!is_true(state, "running") && strcmp(text_of(state, "state"), "left up") != 0;

	if (is_gone) {
		print_leftover(text_of(state, "interface"));
		return;
	}
	printf("%s: %s", text_of(state, "interface"), text_of(state, "state"));
	if (now_s >= since_s)
		printf(" for %s", unit_span((now_s - since_s) * MS_PER_S).s);
	if (!is_true(state, "echoes"))
		printf(", without echoes");
	putchar('\n');
}

static void print_tunnel(const json_t *state)
{
	printf("  server: %s", text_of(state, "server"));
	if (*text_of(state, "server_address"))
		printf(" (%s)", text_of(state, "server_address"));
	printf(", %s%s%s\n", text_of(state, "tunnel"), *text_of(state, "plane") ? ", " : "",
		text_of(state, "plane"));
	if (*text_of(state, "address"))
		printf("  address: %s, gateway %s, from %s\n", text_of(state, "address"),
			text_of(state, "gateway"), text_of(state, "local"));
	if (json_object_get(state, "mtu"))
		printf("  traffic: %s received, %s sent; MTU %u\n",
			unit_bytes(number_of(state, "received")).s,
			unit_bytes(number_of(state, "sent")).s,
			(unsigned int)number_of(state, "mtu"));
}

static void print_text(const json_t *state)
{
	print_state(state);
	print_tunnel(state);
	print_list("routed", json_object_get(state, "routed"));
	print_list("excepted", json_object_get(state, "excepted"));
	if (is_true(state, "blocked") && !is_up(state))
		printf("  blocked: what is routed, until there is a tunnel\n");
	if (*text_of(state, "fault"))
		printf("  fault: %s\n", text_of(state, "fault"));
}

static int print_json(const json_t *states)
{
	int error = json_dumpf(states, stdout, JSON_INDENT(JSON_SPACES));

	putchar('\n');
	return error < 0 || fflush(stdout) != 0 ? -EIO : 0;
}

/* Returns 0 or -errno, written. */
static int read_states(const char *operand, json_t *states)
{
	char names[CLIENT_STATE_MAX][IF_NAMESIZE];
	ssize_t n = 1;

	if (operand)
		snprintf(names[0], sizeof names[0], "%s", operand);
	else
		n = client_state_list(names);
	for (ssize_t i = 0; i < n; i++) {
		json_t *state = client_state_read(names[i]);

		if (!state && errno == ENOENT)
			continue; /* it has ended meanwhile */
		if (!state) {
			fprintf(stderr, "vprox status: %s: %s\n", names[i], strerror(errno));
			return -errno;
		}
		add_link(state);
		json_array_append_new(states, state);
	}
	return n < 0 ? (int)n : 0;
}

/* Returns an exit status. */
static int print_states(
	const struct status_options *options, const char *operand, const json_t *states)
{
	int status = json_array_size(states) > 0 ? STATUS_OK : STATUS_FAILED;
	size_t i;
	json_t *state;

	if (options->json && print_json(states) < 0)
		return STATUS_FAILED;
	json_array_foreach(states, i, state)
	{
		if (!options->json)
			print_text(state);
		if (!is_up(state))
			status = STATUS_FAILED;
	}
	if (json_array_size(states) > 0)
		return status;
	if (operand)
		fprintf(stderr,
			"vprox status: %s: there is no client of that interface; without it, all "
			"are shown\n",
			operand);
	else
		fprintf(stderr, "vprox status: no client runs; `vprox connect` starts one\n");
	return status;
}

static const struct command_option options[] = {
	{
		.name = "json",
		.help = "a JSON array, an object a client",
		OPTION_FLAG(struct status_options, json),
	},
	{0},
};

static int run_status(void *configuration, const char *operand)
{
	json_t *states = json_array();
	int status = STATUS_FAILED;

	log_setup(LOG_LEVEL_WARNING, LOG_FORMAT_PLAIN, "status");
	if (operand && strlen(operand) >= IF_NAMESIZE) {
		usage_error(&command_status, "%s: not an interface's name", operand);
		status = STATUS_USAGE;
	} else if (rights_check(false) == 0 && read_states(operand, states) == 0) {
		status = print_states(configuration, operand, states);
	}
	json_decref(states);
	return status;
}

const struct command command_status = {
	.name = "status",
	.summary = "show the tunnels of this host to servers",
	.synopsis = "vprox status [INTERFACE] [--json]",
	.description = "Prints, for each `vprox connect` of this host or for one, whether its "
		       "tunnel works, "
		       "since when, to which server, what has gone through it, and what is routed "
		       "into it.",
	.options = options,
	.closing = "Exit status: 0, all tunnels that it prints are up; 1, one is not, or there is "
		   "none.",
	.operand = "INTERFACE",
	.is_operand_optional = true,
	.configuration_size = sizeof(struct status_options),
	.run = run_status,
};
