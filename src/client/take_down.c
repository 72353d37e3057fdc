/* Takes a tunnel down in the place of the client that has made it. Runs in `vprox disconnect`. */
#include "client/take_down.h"

#include <errno.h>
#include <unistd.h>

#include "client/client_state.h"
#include "client/instance.h"
#include "client/interface.h"
#include "client/ip_routes.h"
#include "client/leftovers.h"
#include "client/resolv_conf.h"

/* As a client that is started for the same interface, and stopped at once. */
static int take_over_and_remove(const struct client_config *config)
{
	struct interface *interface = NULL;
	struct ip_routes *routes = NULL;
	struct key private_key, public_key;
	int error = instance_load_key(config->interface, &private_key, &public_key);

	if (error == 0)
		error = interface_open(config, &private_key, &interface);
	if (error == 0)
		error = ip_routes_open(NULL, config, &routes);
	ip_routes_close(routes, false);
	interface_close(interface, false);
	key_wipe(&private_key);
	return error;
}

int client_take_down(const char *name)
{
	const struct client_config config = {.interface = name};
	int error, lock = instance_lock(name);

	if (lock < 0)
		return lock;
	error = take_over_and_remove(&config);
	if (error == 0)
		error = leftovers_remove_of(name);
	if (error == 0)
		error = resolv_conf_take_back(name, false);
	if (error >= 0)
		client_state_remove(name);
	close(lock);
	return error < 0 ? error : 0;
}
