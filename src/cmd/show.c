/* `vprox show`: its command line, and the loop that asks the server, chooses from its report and
 * prints it. One process, which root starts. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "cmd/command.h"
#include "cmd/report_reason.h"
#include "cmd/show_output.h"
#include "cmd/show_report.h"
#include "cmd/usage.h"
#include "cmd/values.h"
#include "ipc/report.h"
#include "ipc/report_ask.h"
#include "metrics/exposition.h"

enum {
	SHORTEST_PERIOD_MS = 100,
	NAME_SHOWN = 128,
	REASON_SIZE = 256,
	TEXT_SIZE = REASON_SIZE + sizeof "vprox show: \n",
};

struct show {
	bool json, metrics, wide;
	uint64_t period_ms; /* 0: once */
	struct report_choice choice;
	struct show_output output;
};

static int fail(struct show *show, const char *reason)
{
	char text[TEXT_SIZE];

	snprintf(text, sizeof text, "vprox show: %s\n", reason);
	output_write_error(&show->output, text);
	return STATUS_FAILED;
}

/* The table first, as its columns go by the width; then what is left is made to fit. */
static int print_for_people(const struct show *show, const struct report *report, FILE *out)
{
	auto_free char *text = NULL;
	size_t length = 0;
	struct text_style style = output_style();
	FILE *whole = open_memstream(&text, &length);

	if (!whole)
		return -ENOMEM;
	if (show->wide)
		style.columns = 0;
	report_print_text(report, (uint64_t)time(NULL), &style, whole);
	if (fclose(whole) != 0)
		return -ENOMEM;
	text_wrap(text, &style, out);
	return 0;
}

static int print(const struct show *show, const struct report *report, FILE *out)
{
	if (show->json)
		return report_print_json(report, show->period_ms != 0, out);
	if (!show->metrics)
		return print_for_people(show, report, out);
	exposition_print(report, out);
	return 0;
}

/* 56,600 peers are 22 MB of it. */
static int stream_json(const struct report *report)
{
	int error = report_print_json(report, false, stdout);

	if (fflush(stdout) != 0)
		return -errno;
	return error == 0 && ferror(stdout) ? -EIO : error;
}

static int write_report(struct show *show, const struct report *report)
{
	auto_free char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);
	int error = out ? print(show, report, out) : -ENOMEM;

	if (out && fclose(out) != 0)
		error = -ENOMEM;
	return error < 0 ? error : output_write(&show->output, text);
}

static bool is_peer_chosen(const struct show *show)
{
	return show->choice.of_address || show->choice.of_key || show->choice.name;
}

/* The server has nothing that was asked for. */
static int fail_to_find(struct show *show)
{
	const struct report_choice *choice = &show->choice;
	char reason[REASON_SIZE];

	if (choice->name)
		snprintf(reason, sizeof reason, "--name %.*s: the server has no such client%s",
			NAME_SHOWN, choice->name,
			choice->of_endpoint || choice->of_address || choice->of_key
				? " with what else is asked for"
				: "");
	else if (is_peer_chosen(show))
		snprintf(reason, sizeof reason, "--peer %s: the server%s has no such client",
			choice->of_key ? key_text(&choice->key).s : ipv4_text(choice->address).s,
			choice->of_endpoint ? "'s endpoint" : "");
	else
		snprintf(reason, sizeof reason,
			"--endpoint %s: the server does not serve this address",
			ipv4_text(choice->endpoint).s);
	return fail(show, reason);
}

/* Whoever reads the metrics from a file would else see those of before for ever. */
static int fail_to_ask(struct show *show, int error)
{
	auto_free char *text = NULL;
	size_t length = 0;
	FILE *out = show->metrics ? open_memstream(&text, &length) : NULL;

	if (out) {
		exposition_print_unanswered(out);
		if (fclose(out) == 0)
			output_write(&show->output, text);
	}
	return fail(show, report_reason(error));
}

/* Returns an exit status. */
static int show_once(struct show *show)
{
	struct report report;
	int error = report_ask(REPORT_SOCKET, show->metrics ? REPORT_SUMS : REPORT_ALL, &report);

	if (error < 0)
		return fail_to_ask(show, error);
	if (!report_choose(&report, &show->choice)) {
		report_free(&report);
		return fail_to_find(show);
	}
	error = show->json && show->period_ms == 0 ? stream_json(&report)
						   : write_report(show, &report);
	report_free(&report);
	return error < 0 ? fail(show, strerror(-error)) : STATUS_OK;
}

/* A server that goes away while it is watched may come back. */
static int watch(struct show *show)
{
	struct timespec period = {.tv_sec = (time_t)(show->period_ms / 1000),
		.tv_nsec = (long)(show->period_ms % 1000) * 1000000};
	int status = show_once(show);

	while (status == STATUS_OK || show->output.has_written) {
		if (ferror(stdout))
			return STATUS_FAILED;
		nanosleep(&period, NULL);
		status = show_once(show);
	}
	return status;
}

static int choose_endpoint(const struct option_use *use, void *field)
{
	struct report_choice *choice = field;

	if (ipv4_parse(use->text, &choice->endpoint) < 0)
		return option_error(use, "not an IPv4 address");
	choice->of_endpoint = true;
	return 0;
}

static int choose_peer(const struct option_use *use, void *field)
{
	struct report_choice *choice = field;

	choice->of_address = ipv4_parse(use->text, &choice->address) == 0;
	choice->of_key =
		!choice->of_address && key_parse(use->text, strlen(use->text), &choice->key) == 0;
	if (!choice->of_address && !choice->of_key)
		return option_error(use, "neither an IPv4 address nor a public key");
	return 0;
}

static const struct command_option options[] = {
	{
		.name = "json",
		.help = "one JSON object; with --watch, one a line",
		OPTION_FLAG(struct show, json),
	},
	{
		.name = "metrics",
		.help = "sums in the format of Prometheus, for node_exporter's textfile collector",
		.not_with = "--json --peer --name",
		OPTION_FLAG(struct show, metrics),
	},
	{
		.name = "watch",
		.argument = "TIME",
		.implied = "2s",
		.help = "show it again and again, every 2s if no TIME is given",
		OPTION_TIME(struct show, period_ms),
		.min = SHORTEST_PERIOD_MS,
	},
	{
		.name = "wide",
		.help = "all columns and whole keys, however narrow the terminal is",
		.not_with = "--json --metrics",
		OPTION_FLAG(struct show, wide),
	},
	{
		.name = "endpoint",
		.argument = "ADDRESS",
		.help = "only this address of the server",
		OPTION_FIELD(struct show, choice, struct report_choice, choose_endpoint),
	},
	{
		.name = "peer",
		.argument = "WHO",
		.help = "only the client with this inner or outer address, or public key",
		OPTION_FIELD(struct show, choice, struct report_choice, choose_peer),
	},
	{
		.name = "name",
		.argument = "GLOB",
		.help = "only clients with such a name, as \"token:ci-*\"",
		OPTION_TEXT(struct show, choice.name),
	},
	{0},
};

static int run_show(void *configuration, const char *operand)
{
	struct show *show = configuration;
	const bool is_text = !show->json && !show->metrics;

	(void)operand;
	show->output = (struct show_output){
		.may_redraw = is_text && show->period_ms != 0,
		.has_gaps = !show->json,
	};
	return show->period_ms != 0 ? watch(show) : show_once(show);
}

const struct command command_show = {
	.name = "show",
	.summary = "show the server that runs on this host, and its clients",
	.synopsis = "vprox show [--json|--metrics|--wide] [--watch[=TIME]] [--endpoint ADDRESS] "
		    "[--peer WHO] [--name GLOB]",
	.description =
		"Shows the server that runs on this host: its endpoints, and the clients that "
		"have a tunnel.",
	.options = options,
	.closing = "A TIME is a number with ms, s, m or h behind it; without, it is in seconds.",
	.configuration_size = sizeof(struct show),
	.run = run_show,
};
