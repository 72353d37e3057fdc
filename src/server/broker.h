/* The broker: the process that owns every table, and the only one with rights. */
#pragma once

struct server_config;

/*
 * Runs the server until SIGTERM or SIGINT. Logs what goes wrong. Returns 0, or a negative errno if
 * it could not start or could not clear up.
 */
int broker_run(const struct server_config *config);
