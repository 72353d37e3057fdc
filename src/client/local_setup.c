/* Opens, sets and closes the parts of it in their order. Runs in the client's one thread. */
#include "client/local_setup.h"

#include "client/inbound.h"
#include "client/interface.h"
#include "client/ip_routes.h"
#include "client/name_servers.h"

int local_setup_open(struct local_setup *setup, struct event_base *base,
	const struct client_config *config, const struct key *private_key)
{
	int error = egress_block_open(base, config, &setup->block);

	if (error == 0)
		error = inbound_open(base, config, &setup->inbound);
	if (error == 0)
		error = interface_open(config, private_key, &setup->interface);
	if (error == 0)
		error = ip_routes_open(base, config, &setup->routes);
	if (error == 0 && !config->netns)
		error = name_servers_open(config, &setup->name_servers);
	return error;
}

int local_setup_set_routes(struct local_setup *setup, const struct tunnel *tunnel)
{
	return ip_routes_set(setup->routes, interface_ifindex(setup->interface), tunnel->server);
}

int local_setup_set(struct local_setup *setup, const struct tunnel *tunnel, bool renew)
{
	int error = egress_block_set(setup->block, tunnel);

	if (error == 0)
		error = inbound_set(setup->inbound, tunnel);
	if (error == 0)
		error = interface_set(setup->interface, tunnel, renew);
	return error < 0 ? error : local_setup_set_routes(setup, tunnel);
}

void local_setup_set_name_servers(struct local_setup *setup, const struct resolvers *announced)
{
	if (setup->name_servers)
		name_servers_set(
			setup->name_servers, interface_ifindex(setup->interface), announced);
}

void local_setup_close(struct local_setup *setup, bool keep, enum egress_block_end end)
{
	name_servers_close(setup->name_servers, keep);
	ip_routes_close(setup->routes, keep);
	interface_close(setup->interface, keep);
	inbound_close(setup->inbound, keep);
	egress_block_close(setup->block, end);
	*setup = (struct local_setup){0};
}
