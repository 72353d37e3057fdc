/* Telling the service manager how we are: sd_notify(3)'s protocol, without its library. */
#pragma once

/* Sends a state such as "READY=1" to $NOTIFY_SOCKET; does nothing where there is none. Never fails
 * the caller. */
void notify_service_manager(const char *state);

/* For a process that can open nothing later: a socket, for the caller to close; -1: there is none.
 * The second sends a state to it. */
int notify_open(void);
void notify_send(int fd, const char *state);

/*
 * With a copy of a descriptor, which stays the caller's: FDSTORE=1 has the service manager keep it,
 * over the process's end, and give it to the next one. Returns 0 or -errno.
 */
int notify_send_descriptor(int fd, const char *state, int descriptor);
