/*
 * A note that an interface is being made. A client that is killed before it has given it its key
 * leaves one that it could not tell from anybody else's, and would refuse for ever.
 */
#pragma once

#include <stdbool.h>

/* Returns 0 or -errno. */
int making_begin(const char *interface);
void making_end(const char *interface);
/* Whether the last that began did not come to its end. */
bool making_was_cut_off(const char *interface);
