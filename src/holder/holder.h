/* The holder: a process without rights that has a server's listening sockets, and outlives it for
 * some seconds, so that the next server can go on with them and no client is refused meanwhile. */
#pragma once

/* Runs a holder, with the descriptors of ipc/holding.h. Returns the exit status. */
int holder_main(void);
