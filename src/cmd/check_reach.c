/* Prints what `vprox check SERVER` has found. One process, which root starts. */
#include "cmd/check_reach.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/rights.h"
#include "client/reach.h"
#include "cmd/client_password.h"
#include "cmd/client_server.h"
#include "cmd/command.h"
#include "host/suspects.h"

enum {
	STATUS_FAULTY = STATUS_FAILED,
	STATUS_UNKNOWN = 2,
	JSON_SPACES = 2,
	WHAT_COLUMNS = 10,
};

static const char *const verdicts[] = {
	[REACH_GOOD] = "ok", [REACH_NOTE] = "note", [REACH_BAD] = "FAULT"};

static int print_text(const struct reach_result *result)
{
	for (size_t i = 0; i < result->n; i++)
		printf("%-5s  %-*s %s\n", verdicts[result->lines[i].verdict], WHAT_COLUMNS,
			result->lines[i].what, result->lines[i].text);
	return fflush(stdout) == 0 ? 0 : -errno;
}

static json_t *json_line(const struct reach_line *line)
{
	json_t *object = json_pack("{s:s, s:s, s:s}", "what", line->what, "verdict",
		line->verdict == REACH_BAD ? "fault" : verdicts[line->verdict], "text", line->text);

	if (line->mtu > 0)
		json_object_set_new(object, "mtu", json_integer(line->mtu));
	return object;
}

static int print_json(const struct reach_result *result)
{
	json_t *lines = json_array(), *all;
	int error;

	for (size_t i = 0; i < result->n; i++)
		json_array_append_new(lines, json_line(&result->lines[i]));
	all = json_pack("{s:b, s:o}", "good", reach_is_good(result), "lines", lines);
	error = all && json_dumpf(all, stdout, JSON_INDENT(JSON_SPACES)) == 0 ? 0 : -ENOMEM;
	putchar('\n');
	json_decref(all);
	return error < 0 ? error : fflush(stdout) == 0 ? 0 : -errno;
}

/* Whether one has failed that a filter of this host's could be the reason for. */
static bool has_lost_packets(const struct reach_result *result)
{
	static const char *const by_network[] = {"https", "wireguard", "ipip"};

	for (size_t i = 0; i < result->n; i++)
		for (size_t j = 0; j < sizeof by_network / sizeof *by_network; j++)
			if (result->lines[i].verdict == REACH_BAD &&
				strcmp(result->lines[i].what, by_network[j]) == 0)
				return true;
	return false;
}

static void add_filters(struct reach_result *result)
{
	auto_free char *filters = has_lost_packets(result) ? input_suspects() : NULL;

	if (filters && *filters)
		reach_add(result, "filter", REACH_NOTE,
			"on this host %s may drop what the server sends: let UDP and IP protocol 4 "
			"from its address in before",
			filters);
}

static int check_with_password(struct check_reach_options *options)
{
	struct reach_result result;

	reach_check(&options->client, options->tunnels, &result);
	add_filters(&result);
	if ((options->json ? print_json(&result) : print_text(&result)) < 0)
		return STATUS_UNKNOWN;
	return reach_is_good(&result) ? STATUS_OK : STATUS_FAULTY;
}

int check_reach(struct check_reach_options *options, const char *server)
{
	struct client_password password;
	int status;

	if (client_set_server(&command_check, &options->client, server) < 0 ||
		client_password_open(&password, &command_check, &options->client) < 0)
		return STATUS_USAGE;
	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_PLAIN, "check");
	/* Whoever started us may have it ignored, and then no process's end could be waited for. */
	signal(SIGCHLD, SIG_DFL);
	status = rights_check(true) < 0 ? STATUS_UNKNOWN : check_with_password(options);
	client_password_close(&password);
	return status;
}
