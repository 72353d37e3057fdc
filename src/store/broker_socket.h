/* The store's end of the socket to the broker, STORE_FD_BROKER. What is told waits until there is
 * room for it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/ipv4.h"
#include "ipc/storing.h"

/* Also while orders of it are not read. */
bool broker_socket_has_hung_up(void);
/* events: POLLIN or POLLOUT (poll(2)); timeout_ms: -1, any time. Returns 0, also where that has
 * passed or a signal has come, or -errno. */
int broker_socket_wait(short events, int timeout_ms);

/* All of these return 0, or as storing_send(). */
int broker_socket_tell(const struct storing_message *message);
/* A message of a sequence alone, or of an address alone. */
int broker_socket_tell_event(enum storing_operation operation, uint64_t sequence);
int broker_socket_tell_about(enum storing_operation operation, struct ipv4 bind);
/* For who walks rows; context is unused. */
int broker_socket_tell_row(void *context, const struct storing_message *message);
