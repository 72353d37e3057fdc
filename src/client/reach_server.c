/* Asks a server over HTTPS as a client does. Runs in `vprox check`, with an event loop of its own
 * for each question. */
#include "client/reach_server.h"

#include <stdio.h>
#include <string.h>

#include <event2/event.h>

#include "client/diagnosis.h"
#include "client/known_servers.h"
#include "client/mark.h"
#include "client/request_supervisor.h"

enum {
	STATUS_OK_ANSWER = 200,
	STATUS_UNAUTHORIZED = 401,
};

struct question {
	struct event_base *base;
	struct request_result result;
};

static void on_result(void *context, const struct request_result *result)
{
	struct question *question = context;

	question->result = *result;
	event_base_loopbreak(question->base);
}

/* pin: filled in with the server's key, if it came so far. */
static struct request_result ask(
	const struct client_config *config, const char *path, struct pin *pin)
{
	struct question question = {.base = event_base_new(),
		.result = {.outcome = REQUEST_FAILED,
			.text = "the process that asks cannot be started"}};
	struct request_supervisor supervisor = {.config = config,
		.base = question.base,
		.on_result = on_result,
		.context = &question,
		.mark = CLIENT_FWMARK,
		.look_up.fd = -1};

	if (!question.base)
		return question.result;
	if (request_supervisor_find_user(&supervisor) == 0) {
		request_supervisor_start(&supervisor, path, (struct ipv4){0}, REQUEST_TIME_MS);
		event_base_dispatch(question.base);
	}
	*pin = supervisor.seen;
	request_supervisor_cancel(&supervisor);
	event_base_free(question.base);
	return question.result;
}

static bool is_pinned(const struct client_config *config, const struct pin *pin)
{
	for (size_t i = 0; i < config->n_pins; i++)
		if (pin_equal(&config->pins[i], pin))
			return true;
	return false;
}

/* By what is known already: nothing is remembered. */
static bool compare_with_known(
	const struct client_config *config, const struct pin *pin, struct reach_result *result)
{
	struct pin former;
	int known = known_servers_look_up(config->known_servers, config->server, pin, &former);

	if (known == SERVER_CHANGED)
		reach_add(result, "key", REACH_BAD,
			"it is %s, and was %s: it may be an impostor; if the key was changed, give "
			"--pin with the new one, or remove the line from %s",
			pin_text(pin).s, pin_text(&former).s, config->known_servers);
	else if (known == SERVER_KNOWN)
		reach_add(result, "key", REACH_GOOD, "%s, as before", pin_text(pin).s);
	else
		reach_add(result, "key", REACH_NOTE,
			"%s, which is not known here yet: compare it with what the server logs at "
			"its "
			"start, and give it as --pin",
			pin_text(pin).s);
	return known != SERVER_CHANGED;
}

static bool check_key(
	const struct client_config *config, const struct pin *pin, struct reach_result *result)
{
	if (config->n_pins == 0)
		return compare_with_known(config, pin, result);
	if (is_pinned(config, pin))
		reach_add(result, "key", REACH_GOOD, "%s, as --pin has it", pin_text(pin).s);
	else
		reach_add(result, "key", REACH_BAD,
			"it is %s, which no --pin names: it may be an impostor, and gets no "
			"password",
			pin_text(pin).s);
	return is_pinned(config, pin);
}

static void report_way(const struct request_result *answer, struct reach_result *result)
{
	struct ipv4 seen = diagnosis_parse_seen(answer->text), local = answer->tunnel.local;

	if (seen.value == 0)
		reach_add(result, "nat", REACH_NOTE,
			"the server does not tell which address it sees");
	else if (ipv4_equal(seen, local))
		reach_add(result, "nat", REACH_GOOD, "none: the server sees %s, this host's own",
			ipv4_text(seen).s);
	else
		reach_add(result, "nat", REACH_NOTE,
			"the server sees %s, not %s: there is a NAT on the way, which WireGuard "
			"gets "
			"through, and IPIP mostly not",
			ipv4_text(seen).s, ipv4_text(local).s);
}

static const char *no_password(void *context)
{
	(void)context;
	return "";
}

/* Without the password: it is not known yet who the server is. */
static bool look_without_password(
	const struct client_config *config, struct pin *pin, struct reach_result *result)
{
	struct client_config stranger = *config;
	struct request_result answer;

	stranger.password = no_password;
	stranger.token_source = NULL;
	stranger.insecure = true;
	stranger.n_pins = 0;
	stranger.ca_file = NULL;
	answer = ask(&stranger, REQUEST_ROOT, pin);
	if (answer.outcome != REQUEST_ANSWERED) {
		reach_add(result, "https", REACH_BAD,
			"%s: is the name right, the server running, and TCP port 443 open there "
			"and on "
			"the way?",
			answer.text);
		return false;
	}
	reach_add(result, "https", REACH_GOOD, "%s answers on TCP port 443",
		ipv4_text(answer.tunnel.server).s);
	report_way(&answer, result);
	return check_key(config, pin, result);
}

static bool check_password(
	const struct client_config *config, const struct pin *pin, struct reach_result *result)
{
	struct client_config known = *config;
	struct pin again;
	struct request_result answer;

	known.pins[0] = *pin;
	known.n_pins = 1;
	known.insecure = false;
	answer = ask(&known, REQUEST_VERSION, &again);
	if (answer.outcome != REQUEST_ANSWERED)
		reach_add(result, "password", REACH_BAD, "it could not be tried: %s", answer.text);
	else if (answer.status == STATUS_UNAUTHORIZED)
		reach_add(result, "password", REACH_BAD, "%s",
			config->shows_token ? "the server does not take this token"
					    : "it is not the server's: set VPROX_PASSWORD to what "
					      "the server has");
	else if (answer.status == STATUS_OK_ANSWER)
		reach_add(result, "password", REACH_GOOD, "the server takes it");
	else
		reach_add(result, "password", REACH_NOTE,
			"the server answers %u to GET /version: %s", answer.status, answer.text);
	return answer.outcome == REQUEST_ANSWERED && answer.status != STATUS_UNAUTHORIZED;
}

bool reach_ask_server(
	const struct client_config *config, struct pin *pin, struct reach_result *result)
{
	return look_without_password(config, pin, result) && check_password(config, pin, result);
}
