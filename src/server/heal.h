/* Making a lost device of an endpoint again. */
#pragma once

struct endpoint;

/*
 * When the device has vanished under the server (`ip link del vprox0`, a device process that died):
 * makes it again and gives it all its peers back. Logs. Returns 0 or -errno; then the next call
 * tries again.
 */
int endpoint_heal(struct endpoint *endpoint);
