/*
 * A file that is there while an interface is being made. A client that is killed before it has
 * given it its key leaves an interface that nothing else tells from anybody else's, and that every
 * later client would refuse.
 */
#pragma once

#include <stdbool.h>

/* Before the interface is made. Returns 0 or -errno. */
int creation_marker_write(const char *interface);
/* When it can be told from others by its key. */
void creation_marker_remove(const char *interface);
/* Whether a client of that interface was killed in between. */
bool creation_marker_exists(const char *interface);
