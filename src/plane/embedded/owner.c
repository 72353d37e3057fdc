/*
 * Tells the interfaces of the embedded plane from a client's and from others of the same name. Runs
 * in the server's broker.
 */
#include "plane/embedded/owner.h"

#include <errno.h>
#include <string.h>

#include "base/key.h"
#include "netlink/link.h"
#include "plane/client_link.h"
#include "plane/embedded/device.h"
#include "uapi_client/client_peer.h"

bool embedded_is_clients(const struct link *link)
{
	struct key key;
	bool result;

	if (client_link_has_alias(link))
		return true;
	if (link->alias[0] != '\0' || !client_link_key(link->name, &key))
		return false;
	/* Of a device that does not answer nothing is known. */
	result = client_peer_check_private_key(link->name, &key) == 0;
	key_wipe(&key);
	return result;
}

bool embedded_is_ours(const struct link *link)
{
	return strcmp(link->kind, "tun") == 0 && !embedded_is_clients(link);
}

int embedded_delete(struct embedded_plane *embedded, const char *name)
{
	struct link link;
	int error = link_get(embedded->route, name, &link);

	if (error == 0 && !embedded_is_ours(&link))
		return 0;
	if (error == 0)
		error = link_delete(embedded->route, link.ifindex);
	if (error == 0 || error == -ENODEV)
		return 0;
	return embedded_fail(embedded, error, "remove %s", name);
}
