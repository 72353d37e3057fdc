/*
 * The liveness report of the older programs (BACKEND_ENDPOINT): a process without rights reports to
 * a backend which addresses are served, for as long as they are.
 */
#pragma once

struct child;
struct data_plane;
struct event_base;
struct gate_config;
struct reporter;
struct server_config;

/* Starts the process, if there is a backend: else *reporter is NULL. gates: who they run as. All is
 * copied. Returns 0 or -errno, logged; tunnels do not depend on it. */
int reporter_new(struct event_base *base, const struct server_config *config,
	const struct gate_config *gates, struct reporter **reporter);
/* Reports those that are served now, and no others any more. NULL is fine. */
void reporter_update(struct reporter *reporter, const struct data_plane *data_plane);
/* Its process. NULL is fine: there is none. */
const struct child *reporter_process(const struct reporter *reporter);
/* Ends the process. NULL is fine. */
void reporter_free(struct reporter *reporter);
