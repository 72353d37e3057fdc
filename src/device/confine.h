/* What the device's processes may still do once all they need is open. Return 0 or -errno. */
#pragma once

/* No capabilities and no new privileges for this thread and those that it will make. */
int confine_privileges(void);

/* Only the system calls of running workers and the control thread, for all threads of the process.
 * Anything else ends it. */
int confine_device(void);

/* The helper keeps CAP_NET_ADMIN, CAP_NET_RAW and CAP_NET_BIND_SERVICE (sockets),
 * CAP_BPF (with CAP_NET_ADMIN, the fast path of IPIP), and CAP_DAC_OVERRIDE (the control socket's
 * file may be in somebody else's folder), and the system calls it needs. */
int confine_privileged_helper(void);
