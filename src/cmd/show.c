#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cmd/command.h"
#include "cmd/options.h"
#include "cmd/show_report.h"
#include "ipc/report.h"

static const char usage[] =
	"Usage: vprox show [--json|--metrics] [--watch[=TIME]] [--endpoint ADDRESS] [--peer WHO]\n"
	"\n"
	"Shows the server that runs on this host: its endpoints, and the clients that have a "
	"tunnel.\n"
	"\n"
	"  --json              one JSON object; with --watch, one a line\n"
	"  --metrics           sums in the format of Prometheus, for node_exporter's textfile "
	"collector\n"
	"  --watch[=TIME]      again and again, every 2 s if no TIME is given\n"
	"  --endpoint ADDRESS  only this address of the server\n"
	"  --peer WHO          only the client with this inner or outer address, or public key\n"
	"  --help              print this\n"
	"\n"
	"A TIME is a number with ms, s, m or h behind it; without, it is in seconds.\n";

enum {
	DEFAULT_PERIOD_MS = 2000,
	SHORTEST_PERIOD_MS = 100,
	TEXT_SIZE = 256,

	OPTION_JSON = 256,
	OPTION_METRICS,
	OPTION_WATCH,
	OPTION_ENDPOINT,
	OPTION_PEER,
	OPTION_HELP,
};

static const struct option options[] = {
	{"json", no_argument, NULL, OPTION_JSON},
	{"metrics", no_argument, NULL, OPTION_METRICS},
	{"watch", optional_argument, NULL, OPTION_WATCH},
	{"endpoint", required_argument, NULL, OPTION_ENDPOINT},
	{"peer", required_argument, NULL, OPTION_PEER},
	{"help", no_argument, NULL, OPTION_HELP},
	{0},
};

struct show {
	bool json, metrics;
	uint64_t period_ms; /* 0: once */
	struct report_choice choice;
	bool has_shown; /* something, before */
};

/* What people need to know of a failure. */
static const char *reason_of(int error)
{
	switch (error) {
	case -ENOENT:
	case -ECONNREFUSED:
		return "no vprox server runs on this host; `vprox server` starts one, and `vprox "
		       "clean --dry-run` tells what an earlier one left";
	case -EACCES:
	case -EPERM:
		return "only root may ask the server: run it as root";
	case -ENODATA:
		return "the server did not answer: it takes questions from root only, and from no "
		       "more than a few at a time";
	case -EPROTONOSUPPORT:
		return "the server that runs is of another release than this program: ask it with "
		       "its own, or restart it";
	case -ETIMEDOUT:
		return "the server does not answer in time";
	case -EPROTO:
		return "the server's answer is cut off";
	default:
		return strerror(-error);
	}
}

static int print(const struct show *show, const struct report *report, FILE *out)
{
	if (show->json)
		return report_print_json(report, show->period_ms != 0, out);
	if (show->metrics)
		report_print_metrics(report, out);
	else
		report_print_text(report, (uint64_t)time(NULL), out);
	return 0;
}

/* Over what was drawn before, cut to the size of the terminal. */
static void draw(const char *text, const struct winsize *size)
{
	unsigned int rows = 1, last = size->ws_row > 1 ? size->ws_row - 1 : 1;

	fputs("\033[H", stdout);
	for (; *text && rows < last; rows++) {
		int length = (int)strcspn(text, "\n");

		printf("%.*s\033[K\n", length < size->ws_col ? length : size->ws_col, text);
		text += length;
		text += *text == '\n';
	}
	fputs(*text ? "...\033[K\033[J" : "\033[J", stdout);
}

static bool is_terminal(struct winsize *size)
{
	return isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, size) == 0 &&
	       size->ws_row > 0 && size->ws_col > 0;
}

static bool draws(const struct show *show, struct winsize *size)
{
	return show->period_ms != 0 && !show->json && !show->metrics && is_terminal(size);
}

/* All at once, so that a line is never half there. */
static int put_out(const struct show *show, const char *text)
{
	struct winsize size;

	if (draws(show, &size)) {
		if (!show->has_shown)
			fputs("\033[2J", stdout);
		draw(text, &size);
	} else {
		if (show->has_shown && !show->json)
			fputc('\n', stdout);
		fputs(text, stdout);
	}
	if (fflush(stdout) == 0)
		return 0;
	return errno == EINTR ? 0 : -errno;
}

/* In the place of what was drawn, or else on standard error. */
static int complain(const struct show *show, const char *reason)
{
	char text[TEXT_SIZE];
	struct winsize size;

	snprintf(text, sizeof text, "vprox show: %s\n", reason);
	if (show->has_shown && draws(show, &size))
		put_out(show, text);
	else
		fputs(text, stderr);
	return STATUS_FAILED;
}

/* One look. Returns an exit status. */
static int look(struct show *show)
{
	auto_free char *text = NULL;
	size_t length = 0;
	struct report report;
	FILE *out;
	int error = report_fetch(REPORT_SOCKET, &report);

	if (error < 0)
		return complain(show, reason_of(error));
	if (!report_choose(&report, &show->choice)) {
		report_free(&report);
		return complain(show, show->choice.of_address || show->choice.of_key
					      ? "there is no such peer"
					      : "there is no such endpoint");
	}
	out = open_memstream(&text, &length);
	error = out ? print(show, &report, out) : -ENOMEM;
	report_free(&report);
	if (out && fclose(out) != 0)
		error = -ENOMEM;
	if (error == 0)
		error = put_out(show, text);
	if (error < 0)
		return complain(show, strerror(-error));
	show->has_shown = true;
	return STATUS_OK;
}

/* A server that goes away while it is watched may come back. */
static int watch(struct show *show)
{
	struct timespec period = {.tv_sec = (time_t)(show->period_ms / 1000),
		.tv_nsec = (long)(show->period_ms % 1000) * 1000000};
	int status = look(show);

	while (status == STATUS_OK || show->has_shown) {
		if (ferror(stdout))
			return STATUS_FAILED;
		nanosleep(&period, NULL);
		status = look(show);
	}
	return status;
}

static int set_peer(struct show *show, const char *text)
{
	struct report_choice *choice = &show->choice;

	choice->of_address = ipv4_parse(text, &choice->address) == 0;
	choice->of_key = !choice->of_address && key_parse(text, strlen(text), &choice->key) == 0;
	if (choice->of_address || choice->of_key)
		return 0;
	fprintf(stderr, "vprox show: --peer %s: neither an IPv4 address nor a public key\n", text);
	return -EINVAL;
}

static int set_option(struct show *show, int option, const char *text)
{
	switch (option) {
	case OPTION_JSON:
		show->json = true;
		return 0;
	case OPTION_METRICS:
		show->metrics = true;
		return 0;
	case OPTION_WATCH:
		show->period_ms = DEFAULT_PERIOD_MS;
		if (!text || (option_parse_duration(text, &show->period_ms) == 0 &&
				     show->period_ms >= SHORTEST_PERIOD_MS))
			return 0;
		fprintf(stderr,
			"vprox show: --watch %s: not a time such as 2s or 500ms, of %d ms "
			"at least\n",
			text, SHORTEST_PERIOD_MS);
		return -EINVAL;
	case OPTION_ENDPOINT:
		show->choice.of_endpoint = true;
		if (ipv4_parse(text, &show->choice.endpoint) == 0)
			return 0;
		fprintf(stderr, "vprox show: --endpoint %s: not an IPv4 address\n", text);
		return -EINVAL;
	case OPTION_PEER:
		return set_peer(show, text);
	default:
		fputs(usage, stderr);
		return -EINVAL;
	}
}

int cmd_show_main(int argc, char **argv)
{
	struct show show = {0};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == OPTION_HELP) {
			fputs(usage, stdout);
			return STATUS_OK;
		}
		if (set_option(&show, option, optarg) < 0)
			return STATUS_USAGE;
	}
	if (optind < argc) {
		fprintf(stderr, "vprox show: %s: not an option\n\n", argv[optind]);
		fputs(usage, stderr);
		return STATUS_USAGE;
	}
	if (show.json && show.metrics) {
		fprintf(stderr, "vprox show: --json and --metrics do not go together\n");
		return STATUS_USAGE;
	}
	if (show.metrics && (show.choice.of_address || show.choice.of_key)) {
		fprintf(stderr, "vprox show: --metrics are sums: --peer does not go with them\n");
		return STATUS_USAGE;
	}
	return show.period_ms != 0 ? watch(&show) : look(&show);
}
