/* `vprox check`: its command line, and what it prints of a server of this host. One process, which
 * root starts. */
#include <errno.h>
#include <stdio.h>

#include <jansson.h>

#include "base/log.h"
#include "base/rights.h"
#include "check/kernel_check.h"
#include "check/look.h"
#include "check/server_check.h"
#include "cmd/check_reach.h"
#include "cmd/client_server.h"
#include "cmd/command.h"
#include "cmd/report_reason.h"
#include "cmd/usage.h"
#include "cmd/values.h"

enum {
	STATUS_AGREES = STATUS_OK,
	STATUS_DISAGREES = STATUS_FAILED,
	STATUS_UNKNOWN = 2,
	JSON_SPACES = 2,
};

struct check {
	struct check_reach_options reach; /* first: what a client has is in it */
	bool server;
	uint64_t wait_ms;
	enum ipip_mode ipip_mode;
};

/* Text */

static void print_disagreement(const struct disagreement *disagreement)
{
	if (disagreement->bind.value != 0)
		printf("endpoint %s: ", ipv4_text(disagreement->bind).s);
	printf("%s", disagreement->subject);
	if (disagreement->inner.value != 0)
		printf(", %s,", ipv4_text(disagreement->inner).s);
	printf(" %s; %s\n", disagreement->fault, disagreement->remedy);
}

static void print_agreement(const struct check_result *check)
{
	if (!check->runs && check->n_there == 0 && check->n_stored == 0)
		printf("no server runs, and no tunnels are left of one\n");
	else
		printf("%s%zu %s of %zu %s %s as %s should be\n",
			check->runs ? "" : "no server runs; ", check->n_there,
			check->n_there == 1 ? "tunnel" : "tunnels", check->n_endpoints,
			check->n_endpoints == 1 ? "address" : "addresses",
			check->n_there == 1 ? "is" : "are", check->n_there == 1 ? "it" : "they");
}

static int print_text(const struct check_result *check)
{
	for (size_t i = 0; i < check->disagreements.n; i++)
		print_disagreement(&check->disagreements.list[i]);
	if (check->disagreements.n == 0)
		print_agreement(check);
	return fflush(stdout) == 0 ? 0 : -errno;
}

/* JSON */

static json_t *json_address(struct ipv4 address)
{
	return address.value ? json_string(ipv4_text(address).s) : json_null();
}

static json_t *json_disagreements(const struct disagreements *disagreements)
{
	json_t *array = json_array();

	for (size_t i = 0; i < disagreements->n; i++) {
		const struct disagreement *disagreement = &disagreements->list[i];

		json_array_append_new(array,
			json_pack("{s:o, s:s, s:o, s:s, s:s}", "endpoint",
				json_address(disagreement->bind), "subject", disagreement->subject,
				"inner", json_address(disagreement->inner), "fault",
				disagreement->fault, "remedy", disagreement->remedy));
	}
	return array;
}

static json_t *json_count(size_t n)
{
	return json_integer((json_int_t)n);
}

static int print_json(const struct check_result *check)
{
	json_t *all = json_pack("{s:b, s:b, s:o, s:o, s:o, s:o, s:o, s:o}", "agrees",
		check->disagreements.n == 0, "server_runs", check->runs, "endpoints",
		json_count(check->n_endpoints), "tunnels", json_count(check->n_there), "in_table",
		check->runs ? json_count(check->n_table) : json_null(), "stored",
		check->has_store ? json_count(check->n_stored) : json_null(), "looks",
		json_integer(check->n_looks), "disagreements",
		json_disagreements(&check->disagreements));
	int error = all && json_dumpf(all, stdout, JSON_INDENT(JSON_SPACES)) == 0 ? 0 : -ENOMEM;

	putchar('\n');
	json_decref(all);
	return error < 0 ? error : fflush(stdout) == 0 ? 0 : -errno;
}

/* Returns an exit status. */
static int check_server(const struct check *options)
{
	struct check_result check;
	int status = STATUS_UNKNOWN, error = server_check(options->wait_ms, &check);

	if (error == 0 && options->ipip_mode == IPIP_SHARED)
		error = kernel_check(options->ipip_mode, &check.disagreements);
	if (check.ask_error < 0)
		fprintf(stderr, "vprox check: %s\n", report_reason(check.ask_error));
	else if (error == 0 && (options->reach.json ? print_json(&check) : print_text(&check)) == 0)
		status = check.disagreements.n > 0 ? STATUS_DISAGREES : STATUS_AGREES;
	server_check_free(&check);
	return status;
}

static const struct command_option options[] = {
	{
		.name = "server",
		.help = "compare the data plane, the server's table, the store and the firewall of "
			"this host",
		OPTION_FLAG(struct check, server),
	},
	{
		.name = "json",
		.help = "one JSON object",
		OPTION_FLAG(struct check, reach.json),
	},
	{
		.name = "wait",
		.argument = "TIME",
		/* More than twice what a server takes between its own checks. */
		.initial = "12s",
		.help = "look again for so long where something disagrees",
		.only_with = "--server",
		OPTION_TIME(struct check, wait_ms),
	},
	{
		.name = "ipip-mode",
		.argument = "interface|shared",
		.initial = "interface",
		.help = "shared: also whether this kernel has what a server needs for "
			"--ipip-mode=shared",
		.only_with = "--server",
		OPTION_CHOICE(struct check, ipip_mode),
	},
	{
		.group = "With SERVER",
		.name = "tunnel",
		.argument = "both|wireguard|ipip",
		.initial = "both",
		.help = "which kinds of tunnel to try",
		.only_with = "SERVER",
		OPTION_CHOICE(struct check, reach.tunnels),
	},
	{
		.name = "plane",
		.argument = "auto|kernel|embedded",
		.initial = "auto",
		.help = "what carries the traffic",
		.only_with = "SERVER",
		OPTION_CHOICE(struct check, reach.client.plane),
	},
	{
		.name = "pin",
		.argument = "sha256//BASE64",
		.is_repeatable = true,
		.help = "the server's TLS public key, as it prints it at start",
		.only_with = "SERVER",
		.parse = client_add_pin,
	},
	{
		.name = "known-servers",
		.argument = "FILE",
		.initial = KNOWN_SERVERS,
		.help = "where first times are remembered; nothing is added",
		.only_with = "SERVER",
		.not_with = "--pin",
		OPTION_PATH(struct check, reach.client.known_servers),
	},
	CLIENT_SECRET_OPTIONS(struct check, reach.client., "SERVER"),
	{0},
};

static int run_check(void *configuration, const char *operand)
{
	struct check *check = configuration;

	if (check->server == (operand != NULL)) {
		usage_error(&command_check, "say what is to be checked: SERVER, the way to one, or "
					    "--server, the server of "
					    "this host");
		return STATUS_USAGE;
	}
	if (operand)
		return check_reach(&check->reach, operand);
	log_setup(LOG_LEVEL_WARNING, LOG_FORMAT_PLAIN, "check");
	return rights_check(false) < 0 ? STATUS_UNKNOWN : check_server(check);
}

const struct command command_check = {
	.name = "check",
	.summary = "check the way to a server, or the server of this host",
	.synopsis = "vprox check {SERVER [OPTION...] | --server [--json] [--wait TIME] "
		    "[--ipip-mode MODE]}",
	.description =
		"With SERVER, tries what a client needs of it and of this machine: its name, "
		"HTTPS, its "
		"key, the password, and a tunnel of each kind, which is removed at once. Prints a "
		"line "
		"for each, with what to do where it fails.\n\n"
		"With --server, compares who has which inner address by the data plane, by the "
		"table of the "
		"server that runs on this host, and by the store; and whether firewall, policy "
		"rules and tracked connections are as the server has them. Without a server, "
		"compares what one has left with the store. Changes nothing.",
	.options = options,
	.closing = "What is under way is no disagreement: it prints only what differs for as long "
		   "as it looks again. Exit status: 0, all is good; 1, what it prints is not; 2, "
		   "it could not be told.\n\n"
		   "A TIME is a number with ms, s, m or h behind it; without, it is in seconds.",
	.operand = "SERVER",
	.is_operand_optional = true,
	.configuration_size = sizeof(struct check),
	.run = run_check,
};
