/* The listening sockets, one an endpoint, which all gates share. */
#pragma once

#include <stddef.h>

#include <event2/event.h>

#include "gate/admission.h"

struct listeners;

/*
 * Takes over n listening sockets, the first of which is first_fd and the others the numbers after
 * it, and passes on what they accept. Returns NULL with errno set.
 */
struct listeners *listeners_new(
	struct event_base *base, int first_fd, size_t n, struct connections *connections);

/* Closes them. */
void listeners_free(struct listeners *listeners);
