/* What the host has for the tunnels besides them: firewall, policy rules, tracked connections. */
#pragma once

struct disagreements;
struct holder_list;
struct report;

/*
 * Adds as disagreements what is not as the server that runs has made it, and connections of
 * addresses that nobody of its table holds. Returns 0, -ENOMEM, or another -errno, which is logged.
 */
int host_state_check(const struct report *report, const struct holder_list *table,
	struct disagreements *disagreements);
