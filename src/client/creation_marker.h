/*
 * A file that exists while an interface is being made. A client that is killed before its interface
 * has its key leaves one that cannot be distinguished from anybody else's in any other way, and
 * that every later client would refuse.
 */
#pragma once

#include <stdbool.h>

/* Before the interface is made. Returns 0 or -errno. */
int creation_marker_write(const char *interface);
/* Once the interface has its key. */
void creation_marker_remove(const char *interface);
/* Whether a client of that interface was killed in between. */
bool creation_marker_exists(const char *interface);
