/* Writes what the tables have of each endpoint, and how it comes and goes. Changes nothing on the
 * host. */
#include "host/firewall_endpoint.h"

#include <stdio.h>

#include "base/text_stream.h"
#include "host/host_config.h"
#include "plane/names.h"

typedef void endpoint_fn(FILE *out, const struct host_endpoint *endpoint);

static void write_interfaces(FILE *out, const struct host_endpoint *endpoint)
{
	fprintf(out, "\"vprox%u\", \"vp%u-*\"", endpoint->index, endpoint->index);
}

static void write_bind(FILE *out, const struct host_endpoint *endpoint)
{
	fputs(ipv4_text(endpoint->bind).s, out);
}

static void write_block(FILE *out, const struct host_endpoint *endpoint)
{
	fputs(prefix_text(endpoint->block).s, out);
}

static void write_bind_and_port(FILE *out, const struct host_endpoint *endpoint)
{
	fprintf(out, "%s . %u", ipv4_text(endpoint->bind).s, endpoint->port);
}

static void write_port(FILE *out, const struct host_endpoint *endpoint)
{
	fprintf(out, "%u", endpoint->port);
}

static void write_port_and_bind(FILE *out, const struct host_endpoint *endpoint)
{
	fprintf(out, "%u : %s", endpoint->port, ipv4_text(endpoint->bind).s);
}

static void write_block_and_bind(FILE *out, const struct host_endpoint *endpoint)
{
	fprintf(out, "%s : %s", prefix_text(endpoint->block).s, ipv4_text(endpoint->bind).s);
}

static void write_chains_by_interface(FILE *out, const struct host_endpoint *endpoint)
{
	unsigned int i = endpoint->index;

	fprintf(out, "\"vprox%u\" : goto device_%u, \"vp%u-*\" : goto ipip_%u", i, i, i, i);
}

static void write_elements(FILE *out, const struct host_config *config, endpoint_fn *write_endpoint)
{
	for (size_t i = 0; i < config->n_endpoints; i++) {
		if (i > 0)
			fputs(", ", out);
		write_endpoint(out, &config->endpoints[i]);
	}
}

/* What is of all endpoints together, and of each. nft has no word for no elements. */
static bool has_elements(const struct host_config *config, const char *common)
{
	return config->n_endpoints > 0 || (common && config->shares_ipip);
}

static void write_all_elements(FILE *out, const struct host_config *config, const char *common,
	endpoint_fn *write_endpoint)
{
	if (common && config->shares_ipip)
		fprintf(out, "%s%s", common, config->n_endpoints > 0 ? ", " : "");
	write_elements(out, config, write_endpoint);
}

static void write_set(FILE *out, const struct host_config *config, const char *name,
	const char *type, const char *common, endpoint_fn *write_endpoint)
{
	fprintf(out, "\t%s {\n\t\ttype %s\n", name, type);
	if (has_elements(config, common)) {
		fputs("\t\telements = { ", out);
		write_all_elements(out, config, common, write_endpoint);
		fputs(" }\n", out);
	}
	fputs("\t}\n", out);
}

static void write_gateway(FILE *out, const struct host_endpoint *endpoint)
{
	const struct ipv4 gateway = {endpoint->block.address.value + 1};

	fputs(ipv4_text(gateway).s, out);
}

static const char shared_interface[] = "\"" PLANE_SHARED_IPIP_NAME "\"";
static const char shared_interface_chain[] = "\"" PLANE_SHARED_IPIP_NAME "\" : goto ipip_shared";

/* What every endpoint has its elements in. */
static const struct endpoint_set {
	const char *kind, *name, *type;
	endpoint_fn *write;
	const char *common; /* where IPIP peers share an interface; NULL: nothing */
	/* nft cannot delete a single element with an asterisk, but all of them. */
	bool is_written_anew;
} endpoint_sets[] = {
	{"set", "tunnels", "ifname; flags interval", write_interfaces, shared_interface, true},
	{"map", "chains", "ifname : verdict; flags interval", write_chains_by_interface,
		shared_interface_chain, true},
	{"set", "binds", "ipv4_addr", write_bind, NULL, false},
	{"set", "blocks", "ipv4_addr; flags interval", write_block, NULL, false},
	{"set", "gateways", "ipv4_addr", write_gateway, NULL, false},
	{"set", "listeners", "ipv4_addr . inet_service", write_bind_and_port, NULL, false},
	{"set", "ports", "inet_service", write_port, NULL, false},
	{"map", "bind_of_port", "inet_service : ipv4_addr", write_port_and_bind, NULL, false},
	{"map", "bind_of", "ipv4_addr : ipv4_addr; flags interval", write_block_and_bind, NULL,
		false},
};

enum {
	N_ENDPOINT_SETS = sizeof endpoint_sets / sizeof *endpoint_sets,
};

void firewall_write_endpoint_sets(FILE *out, const struct host_config *config)
{
	for (size_t i = 0; i < N_ENDPOINT_SETS; i++) {
		const struct endpoint_set *set = &endpoint_sets[i];
		char name[32];

		snprintf(name, sizeof name, "%s %s", set->kind, set->name);
		write_set(out, config, name, set->type, set->common, set->write);
	}
}

void firewall_write_tunnels(FILE *out, const struct host_config *config)
{
	write_set(out, config, "set tunnels", "ifname; flags interval", shared_interface,
		write_interfaces);
}

/*
 * The device checks by itself which peer may have which source, as WireGuard in the kernel does. An
 * IPIP link of the kernel does not: it has one route, to the peer's address, and the way back to
 * the source must be the link that the packet came from. In the embedded plane there are no such
 * links, but those that a server with the kernel plane has left are still checked.
 */
static void write_endpoint_chains(FILE *out, const struct host_endpoint *endpoint)
{
	fprintf(out,
		"\tchain device_%u {\n"
		"\t\tip saddr != %s counter name refused_spoofed drop\n"
		"\t\tgoto tunnel\n"
		"\t}\n"
		"\tchain ipip_%u {\n"
		"\t\tfib saddr . iif oif missing counter name refused_spoofed drop\n"
		"\t\tgoto device_%u\n"
		"\t}\n",
		endpoint->index, prefix_text(endpoint->block).s, endpoint->index, endpoint->index);
}

void firewall_write_endpoint_chains(FILE *out, const struct host_config *config)
{
	for (size_t i = 0; i < config->n_endpoints; i++)
		write_endpoint_chains(out, &config->endpoints[i]);
}

static void add_elements(FILE *out, const char *family, const struct endpoint_set *set,
	const struct host_config *endpoints)
{
	if (!has_elements(endpoints, set->common))
		return;
	fprintf(out, "add element %s vprox %s { ", family, set->name);
	write_all_elements(out, endpoints, set->common, set->write);
	fputs(" }\n", out);
}

static void write_tunnels_anew(FILE *out, const char *family, const struct endpoint_set *set,
	const struct host_config *remaining)
{
	fprintf(out, "flush %s %s vprox %s\n", set->kind, family, set->name);
	add_elements(out, family, set, remaining);
}

static void add_chains(FILE *out, const struct host_endpoint *endpoint)
{
	fputs("table ip vprox {\n", out);
	write_endpoint_chains(out, endpoint);
	fputs("}\n", out);
}

static void delete_chains(FILE *out, const struct host_endpoint *endpoint)
{
	static const char *const names[] = {"ipip", "device"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		fprintf(out, "flush chain ip vprox %s_%u\ndelete chain ip vprox %s_%u\n", names[i],
			endpoint->index, names[i], endpoint->index);
}

/* Its time begins anew, also where it is there still. */
static void write_arrival(FILE *out, const struct host_endpoint *endpoint)
{
	const struct ipv4_text network = ipv4_text(endpoint->block.address);

	fprintf(out,
		"add element ip vprox arrived { %s }\n"
		"delete element ip vprox arrived { %s }\n"
		"add element ip vprox arrived { %s }\n",
		network.s, network.s, network.s);
}

static void write_addition(FILE *out, const struct host_endpoint *endpoint, bool has_ipv6)
{
	const struct host_config one = {.endpoints = endpoint, .n_endpoints = 1};

	add_chains(out, endpoint);
	for (size_t i = 0; i < N_ENDPOINT_SETS; i++)
		add_elements(out, "ip", &endpoint_sets[i], &one);
	if (has_ipv6)
		add_elements(out, "ip6", &endpoint_sets[0], &one);
	write_arrival(out, endpoint);
}

static void write_removal(FILE *out, const struct host_endpoint *endpoint,
	const struct host_config *remaining, bool has_ipv6)
{
	for (size_t i = 0; i < N_ENDPOINT_SETS; i++) {
		const struct endpoint_set *set = &endpoint_sets[i];

		if (set->is_written_anew) {
			write_tunnels_anew(out, "ip", set, remaining);
			continue;
		}
		fprintf(out, "delete element ip vprox %s { ", set->name);
		set->write(out, endpoint);
		fputs(" }\n", out);
	}
	if (has_ipv6)
		write_tunnels_anew(out, "ip6", &endpoint_sets[0], remaining);
	delete_chains(out, endpoint);
}

char *firewall_endpoint_arrival(const struct host_endpoint *endpoint)
{
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		return NULL;
	write_arrival(out, endpoint);
	return text_stream_close(out, &text);
}

char *firewall_endpoint_change(
	const struct host_endpoint *endpoint, const struct host_config *remaining, bool has_ipv6)
{
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		return NULL;
	if (remaining)
		write_removal(out, endpoint, remaining, has_ipv6);
	else
		write_addition(out, endpoint, has_ipv6);
	return text_stream_close(out, &text);
}
