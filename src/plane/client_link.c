/*
 * Recognises the interfaces of a vprox client on this host. Runs in the server's broker.
 */
#include "plane/client_link.h"

#include <stdio.h>
#include <string.h>

#include "base/key_file.h"
#include "netlink/link.h"

bool client_link_has_alias(const struct link *link)
{
	return strncmp(link->alias, CLIENT_ALIAS, strlen(CLIENT_ALIAS)) == 0;
}

bool client_link_key(const char *name, struct key *key)
{
	char path[sizeof CLIENT_KEY_PREFIX + IF_NAMESIZE];

	snprintf(path, sizeof path, "%s%s", CLIENT_KEY_PREFIX, name);
	return key_file_load(path, key) == 0;
}
