/* What the peers of an endpoint have used. */
#pragma once

#include <stdint.h>

struct endpoint;

/*
 * Reads it from the plane into the peers and the endpoint's totals, and does nothing about it.
 * Returns 0, -ENODEV if the device is lost, or what the plane's dump() does.
 */
int usage_read(struct endpoint *endpoint);

/* Reads it, unless the last reading is younger than that, or than so many times what it took that
 * others have most of the broker's time. What cannot be read stays as it was, and its age tells. */
void usage_refresh(struct endpoint *endpoint, uint64_t period_ms);
