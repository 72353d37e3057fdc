/* The store: a process that keeps on the disk what the server has promised to whom. */
#pragma once

/* Runs a store with what the broker has given it at STORE_FD_BROKER, until the broker hangs up.
 * Returns the exit status. */
int store_main(void);
