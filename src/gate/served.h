/* The endpoints that a gate serves: they come and go while it runs. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/ipv4.h"
#include "ipc/gate_endpoint.h"

/* Zeroed: none. */
struct served_set {
	struct gate_endpoint *endpoints;
	size_t n;
};

/* Copies it; one with its bind address is replaced. Returns 0 or -ENOMEM. */
int served_add(struct served_set *served, const struct gate_endpoint *endpoint);
/* One that is not there is fine. */
void served_remove(struct served_set *served, struct ipv4 bind);
/* NULL: it is not served. Good until the next change. */
const struct gate_endpoint *served_find(const struct served_set *served, struct ipv4 bind);
/* Whether the address is an inner one, of whichever endpoint. */
bool served_is_inner(const struct served_set *served, struct ipv4 address);

/* Frees and zeroes. */
void served_free(struct served_set *served);
