/* Signals, for processes that somebody else decides about. */
#pragma once

/*
 * Ignores what ends a process (SIGTERM, SIGINT, SIGHUP) and SIGPIPE: its parent decides when to
 * finish, also where a terminal or a service manager sends these to everybody, and tells it over
 * its socket. Stays in force over execve(2).
 */
void signals_leave_to_parent(void);
