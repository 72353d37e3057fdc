/* A configuration that was read again is put in force while the server runs. */
#pragma once

struct config_source;
struct gate_supervisor;
struct server_config;

/* What it changes: the caller's. */
struct reload {
	const struct config_source *source;
	struct server_config *config; /* the one in force */
	struct gate_supervisor *supervisor;
};

/* Reads it again and puts it in force; what cannot be read changes nothing. Logs. Returns 0, or
 * -EALREADY if there is nothing to be read again. */
int reload_configuration(const struct reload *reload);
