/* Whose an interface with the name of an endpoint's is, and removing it where it is ours. */
#pragma once

#include <stdbool.h>

struct embedded_plane;
struct link;

/* Whether the link is a client's (client_link.h): by its alias, or without one by its key. */
bool embedded_is_clients(const struct link *link);

/* Whether it is a TUN interface, and no client's. */
bool embedded_is_ours(const struct link *link);

/* Deletes the interface, with which the device ends. 0 also if there is none of ours. */
int embedded_delete(struct embedded_plane *embedded, const char *name);
