/*
 * The process that asks the server, for one request: names, TLS, HTTP and JSON are read here, where
 * there is no privilege, and no key but the password. It ends with its client.
 */
#pragma once

/* The `fetch` subcommand, which the client starts, with the socket of fetch_message.h as FETCH_FD.
 * Returns the exit status. */
int fetch_main(void);
