/* What this process may do. */
#pragma once

#include <stdbool.h>

/*
 * Whether it has the rights without which it would fail half-way: to administer the network, and,
 * where changes_user, to start processes as another user and group. Returns 0 or -EPERM, and logs
 * what to do.
 */
int rights_check(bool changes_user);

/* What to do about /dev/net/tun, to follow what has failed: begins with ": ". error: -errno of
 * that.
 * "" if it is not known. */
const char *rights_tun_advice(int error);
