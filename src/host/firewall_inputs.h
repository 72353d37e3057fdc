/* The host's other firewalls, where packets to the host itself are concerned: these only get a line
 * in the log. */
#pragma once

struct host_config;

/* Logs what has to be open where other tables drop what they do not accept on its way to this host:
 * the outer packets are untracked, so no rule by connection state lets them in. */
void firewall_report_closed_inputs(const struct host_config *config);
