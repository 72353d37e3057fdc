/*
 * The process that asks the server, for one request: names, TLS, HTTP and JSON are read here, where
 * there is no privilege, and no key but the password. It ends with its client.
 */
#pragma once

/* The `request` subcommand, which the client starts, with the socket of request_message.h as
 * REQUEST_FD. Returns the exit status. */
int request_process_main(void);
