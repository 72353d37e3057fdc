/* Making a lost device of an endpoint again. */
#pragma once

#include <stddef.h>

struct endpoint;

/*
 * When the device has vanished under the server (`ip link del vprox0`, a device process that died):
 * makes it again and gives it all its peers back. Logs. Returns 0 or -errno; then the next call
 * tries again.
 */
int endpoint_heal(struct endpoint *endpoint);

/* Makes the device of an endpoint that has none, and gives it its peers back, of which *n_back were
 * not there. Logs what goes wrong. Returns 0 or -errno, and then it has none. */
int endpoint_make_device(struct endpoint *endpoint, size_t *n_back);
