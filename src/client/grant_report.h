/* What was assigned, told to people and, with --json, to programs. */
#pragma once

#include "client/config.h"

/* Logs it, with a warning if it is a public address; with --json, writes one line to standard
 * output. plane: "kernel", "embedded". */
void grant_report(
	const struct client_config *config, const struct tunnel *tunnel, const char *plane);
