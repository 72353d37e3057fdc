/* How vprox's own processes are told from a command that somebody has typed. */
#pragma once

#include <stdbool.h>

/*
 * Whether `vprox PARENT` has started this process, as far as can be seen: without arguments, and
 * with open descriptors from first to last. Writes that it is not to be started by hand if not;
 * argv[0] is its name.
 */
bool is_started_by(const char *parent, int argc, char **argv, int first, int last);
