/*
 * What operators see of a running server, and order it to do: the control socket with its reports
 * and disconnections, and the process that serves metrics.
 */
#pragma once

#include "server/disconnections.h"

struct control_socket;
struct data_plane;
struct event_base;
struct gate_config;
struct metrics_link;
struct server_config;
struct snapshot_source;

struct management {
	/* The caller's. */
	const struct server_config *config;
	const struct gate_config *gates; /* whom processes without rights run as */
	struct data_plane *data_plane;
	/* Fills in what else is reported. */
	void (*describe)(void *context, struct snapshot_source *source);
	void *context;

	/* Its own. */
	struct control_socket *control; /* NULL: it could not be opened */
	struct disconnections disconnections;
	struct metrics_link *metrics; /* NULL without --metrics */
};

/* Of what cannot be opened nobody can see into the server, but it serves all the same. Logs. */
void management_open(struct management *management, struct event_base *base);
/* One that was not opened is fine. */
void management_close(struct management *management);
