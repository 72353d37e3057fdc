/* What the device's processes may still do once all they need is open. */
#pragma once

/* No capabilities, no new privileges, and only the system calls of running workers and the control
 * thread: for all threads of the process. Returns 0 or -errno. */
int sandbox_device(void);

/* The opener keeps CAP_NET_ADMIN, CAP_NET_RAW and CAP_NET_BIND_SERVICE (sockets), and
 * CAP_DAC_OVERRIDE (the control socket's file may be in somebody else's folder). */
int sandbox_opener(void);
