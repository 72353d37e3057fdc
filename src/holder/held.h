/* The listening sockets that a holder has. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/ipv4.h"

struct held_listener {
	int fd;
	struct ipv4 address;
	uint16_t port;
};

/* All zero to begin with. */
struct held {
	struct held_listener *listeners;
	size_t n;
};

/* Takes a socket over, in place of one of the same address and port. Returns 0, or -ENOMEM: then it
 * is closed. */
int held_add(struct held *held, int fd, struct ipv4 address, uint16_t port);
/* Closes it, if it is there. */
void held_drop(struct held *held, struct ipv4 address, uint16_t port);
/* Returns its descriptor, which stays the table's, or -1. */
int held_find(const struct held *held, struct ipv4 address, uint16_t port);
void held_free(struct held *held);
