/* Signals, as far as others than the process itself decide about them. */
#pragma once

#include <stdbool.h>

/*
 * Ignores what ends a process (SIGTERM, SIGINT, SIGHUP) and SIGPIPE: its parent decides when to
 * finish, also where a terminal or a service manager sends these to everybody, and tells it over
 * its socket. Stays in force over execve(2).
 */
void signals_leave_to_parent(void);

/*
 * Whether whoever started this process has had a signal ignored, as nohup(1) does with SIGHUP: it
 * is to stay so.
 */
bool signals_is_ignored(int signal);
