/* What goes wrong again and again is a warning once, and again when something else does. */
#pragma once

#include "client/request_message.h"

struct tunnel;

enum { FAILURE_SIZE = REQUEST_TEXT_MAX + 256 };

struct failure_log {
	const char *server;
	char last[FAILURE_SIZE]; /* "": nothing is wrong, as far as is known */
};

void failure_log_say(struct failure_log *failures, const char *text);
/* Of an address that the server assigned and this host cannot have. */
void failure_log_address(
	struct failure_log *failures, const struct tunnel *tunnel, const char *why);
void failure_log_forget(struct failure_log *failures);
