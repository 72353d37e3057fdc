/* Removing what a client has left that does not run any more: after --once, or a kill. */
#pragma once

/* Removes the interface, if it is a client's of that name, its routes, rules and tables, puts back
 * resolv.conf, and removes its state. Returns 0 or -errno, logged: -EWOULDBLOCK if a client runs.
 */
int client_take_down(const char *interface);
