/* Judges who a server is, by what the user has given. Runs in the client, with what the request
 * process has found out. */
#include "client/trust.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "client/known_servers.h"

static bool is_pinned(const struct client_config *config, const struct pin *pin)
{
	for (size_t i = 0; i < config->n_pins; i++)
		if (pin_equal(&config->pins[i], pin))
			return true;
	return false;
}

static int compare_with_first_time(const struct client_config *config,
	const struct request_server *seen, char *why, size_t size)
{
	struct pin former;
	int known = known_servers_check(config->known_servers, config->server, &seen->pin, &former);

	switch (known) {
	case SERVER_KNOWN:
		return 0;
	case SERVER_NEW:
		log_info("%s is new: trusting its TLS key %s, remembered in %s", config->server,
			pin_text(&seen->pin).s, config->known_servers);
		return 0;
	case SERVER_CHANGED:
		snprintf(why, size,
			"%s has another TLS key than before: %s, not %s. It may be an impostor, "
			"and has not got the password. If you know that the key was changed, "
			"remove the server's line from %s, or give --pin with the new one",
			config->server, pin_text(&seen->pin).s, pin_text(&former).s,
			config->known_servers);
		return -EPERM;
	default:
		snprintf(why, size, "cannot look %s up in %s: %s", config->server,
			config->known_servers,
			known == -EBADMSG ? "it has a line that is none" : strerror(-known));
		return known;
	}
}

int trust_decide(const struct client_config *config, const struct request_server *seen, char *why,
	size_t size)
{
	if (config->ca_file && !seen->certified) {
		snprintf(why, size,
			"the certificate of %s is not good by --cacert %s: %s; its TLS key is %s",
			config->server, config->ca_file, seen->fault, pin_text(&seen->pin).s);
		return -EPERM;
	}
	if (config->n_pins > 0 && !is_pinned(config, &seen->pin)) {
		snprintf(why, size,
			"the TLS key of %s is %s, which no --pin names; it may be an impostor, and "
			"has not got the password",
			config->server, pin_text(&seen->pin).s);
		return -EPERM;
	}
	if (config->ca_file || config->n_pins > 0 || config->insecure)
		return 0;
	return compare_with_first_time(config, seen, why, size);
}
