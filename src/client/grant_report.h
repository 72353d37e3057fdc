/* --json: what was assigned, one object a line. */
#pragma once

#include <stdio.h>

#include "client/config.h"

void grant_report(FILE *out, const struct client_config *config, const struct tunnel *tunnel,
	const char *plane);
