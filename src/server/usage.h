/* What the peers of an endpoint have used. */
#pragma once

struct endpoint;

/*
 * Reads it from the plane into the peers and the endpoint's totals, and does nothing about it.
 * Returns 0, -ENODEV if the device is lost, or what the plane's dump() does.
 */
int usage_read(struct endpoint *endpoint);
