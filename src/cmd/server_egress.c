/* Checks what `vprox server` is told that tunnels may reach. Runs in the server's process, before
 * it does anything. */
#include "cmd/server_egress.h"

#include "cmd/usage.h"
#include "cmd/values.h"
#include "host/egress_policy.h"

enum {
	PROTOCOL_IPIP = 4, /* RFC 2003 */
	HIGHEST_PROTOCOL = 255,
	HIGHEST_PORT = 65535,
};

static int add_prefix(
	const struct option_use *use, struct egress_prefixes *prefixes, struct prefix prefix)
{
	return egress_prefixes_add(prefixes, prefix) == 0
		       ? 0
		       : option_error(use, "there are %d already, more are not possible",
				 EGRESS_MAX_PREFIXES);
}

static int parse(const struct option_use *use, struct prefix *prefix)
{
	return prefix_parse(use->text, prefix) == 0
		       ? 0
		       : option_error(use, "not an IPv4 block such as 10.20.0.0/16");
}

/* One that would open nothing is a misunderstanding. */
int server_allow_to(const struct option_use *use, void *field)
{
	struct egress_policy *policy = field;
	struct prefix prefix;
	int error = parse(use, &prefix);

	if (error == 0 && egress_policy_never(prefix))
		error = option_error(use, "no tunnel reaches such an address");
	return error < 0 ? error : add_prefix(use, &policy->opened, prefix);
}

int server_deny_to(const struct option_use *use, void *field)
{
	struct egress_policy *policy = field;
	struct prefix prefix;
	int error = parse(use, &prefix);

	return error < 0 ? error : add_prefix(use, &policy->closed, prefix);
}

int server_allow_to_host(const struct option_use *use, void *field)
{
	struct egress_policy *policy = field;
	unsigned int port;

	if (option_parse_number(use->text, 1, HIGHEST_PORT, &port) < 0)
		return option_error(use, "not a port from 1 to %d", HIGHEST_PORT);
	if (policy->n_host_ports == EGRESS_MAX_PORTS)
		return option_error(
			use, "there are %d already, more are not possible", EGRESS_MAX_PORTS);
	policy->host_ports[policy->n_host_ports++] = (uint16_t)port;
	return 0;
}

int server_allow_protocol(const struct option_use *use, void *field)
{
	struct egress_policy *policy = field;
	unsigned int protocol;

	if (option_parse_number(use->text, 0, HIGHEST_PROTOCOL, &protocol) < 0)
		return option_error(
			use, "not the number of a protocol, from 0 to %d", HIGHEST_PROTOCOL);
	if (protocol == PROTOCOL_IPIP)
		return option_error(use, "a client could take other clients' tunnels with it");
	if (policy->n_protocols == EGRESS_MAX_PROTOCOLS)
		return option_error(
			use, "there are %d already, more are not possible", EGRESS_MAX_PROTOCOLS);
	policy->protocols[policy->n_protocols++] = (uint8_t)protocol;
	return 0;
}
