/* Logs failures, each once. Runs in the client. */
#include "client/failure_log.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "client/tunnel.h"

void failure_log_say(struct failure_log *failures, const char *text)
{
	if (strcmp(failures->last, text) != 0)
		log_warning("%s: %s; trying again until it works", failures->server, text);
	else
		log_debug("%s: still: %s", failures->server, text);
	snprintf(failures->last, sizeof failures->last, "%s", text);
}

void failure_log_address(struct failure_log *failures, const struct tunnel *tunnel, const char *why)
{
	char text[FAILURE_SIZE];

	snprintf(text, sizeof text, "the address that it assigned, %s/%u, is not taken: %s",
		ipv4_text(tunnel->inner).s, tunnel->length, why);
	failure_log_say(failures, text);
}

void failure_log_forget(struct failure_log *failures)
{
	failures->last[0] = '\0';
}
