/* The broker: the process that owns every table, and the only one with rights. */
#pragma once

struct config_source;
struct server_config;

/*
 * Runs the server until SIGTERM or SIGINT. With SIGHUP the configuration is read again from its
 * source; where there is nothing to be read, that is an end too. Logs what goes wrong. Returns 0,
 * or a negative errno if it could not start or could not clear up.
 */
int broker_run(struct server_config *config, const struct config_source *source);
