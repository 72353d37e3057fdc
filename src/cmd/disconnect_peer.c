/* `vprox disconnect-peer`: has the server that runs on this host end tunnels. One process, which
 * root starts. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cmd/command.h"
#include "cmd/report_reason.h"
#include "cmd/usage.h"
#include "ipc/disconnecting.h"
#include "ipc/report.h"

static const struct command_option options[] = {{0}};

/* Returns 0, or an exit status with the fault written. */
static int parse(const char *operand, struct disconnect_order *order)
{
	if (ipv4_parse(operand, &order->address) == 0 && order->address.value != 0) {
		order->kind = DISCONNECT_ADDRESS;
	} else if (key_parse(operand, strlen(operand), &order->key) == 0) {
		order->kind = DISCONNECT_KEY;
	} else if (*operand && client_name_parse(operand, &order->name) == 0) {
		order->kind = DISCONNECT_NAME;
	} else {
		usage_error(&command_disconnect_peer,
			"%s: neither an IPv4 address, nor a public key, nor a client's name, such "
			"as token:ci",
			operand);
		return STATUS_USAGE;
	}
	return 0;
}

static const char *clients(uint32_t n)
{
	return n == 1 ? "client" : "clients";
}

/* Returns an exit status. */
static int print(const char *operand, const struct disconnect_state *state)
{
	if (state->n_found == 0) {
		log_error("%s: the server has no such client", operand);
		return STATUS_FAILED;
	}
	printf("%u %s disconnected; nothing keeps %s from coming back\n", state->n_gone,
		clients(state->n_gone), state->n_gone == 1 ? "it" : "them");
	if (state->n_failed == 0)
		return STATUS_OK;
	log_error("%u %s could not be disconnected: see the server's log", state->n_failed,
		clients(state->n_failed));
	return STATUS_FAILED;
}

static int run_disconnect_peer(void *configuration, const char *operand)
{
	struct disconnect_order order = {0};
	struct disconnect_state state;
	int error, status = parse(operand, &order);

	(void)configuration;
	log_setup(LOG_LEVEL_WARNING, LOG_FORMAT_PLAIN, "disconnect-peer");
	if (status != 0)
		return status;
	error = disconnect_ask(REPORT_SOCKET, &order, &state);
	if (error == 0)
		return print(operand, &state);
	log_error("%s", report_reason(error));
	return STATUS_FAILED;
}

const struct command command_disconnect_peer = {
	.name = "disconnect-peer",
	.summary = "end the tunnels of clients of the server that runs on this host",
	.synopsis = "vprox disconnect-peer WHO",
	.description =
		"Has the server remove its clients with this inner or outer address, public key, "
		"or name, and waits until they are gone. Nothing keeps a client from asking for "
		"a tunnel again.",
	.options = options,
	.operand = "WHO",
	.configuration_size = 1,
	.run = run_disconnect_peer,
};
