/* What the device's processes may still do once all they need is open. Return 0 or -errno. */
#pragma once

struct user;

/* Another user, no capabilities and no new privileges for this thread and those that it will make.
 * Without the right to change the user it stays who it is; if that is root, it is logged. */
int confine_privileges(const struct user *user);

/* Only the system calls of running workers and the control thread, for all threads of the process:
 * no executable memory, no signal to another process, no BPF but for what maps hold. Anything else
 * ends it. And its memory is hidden from other processes, and from core files. */
int confine_device(void);

/* The helper keeps CAP_NET_ADMIN, CAP_NET_RAW and CAP_NET_BIND_SERVICE (sockets),
 * CAP_BPF (with CAP_NET_ADMIN, the fast path of IPIP), and CAP_DAC_OVERRIDE (the control socket's
 * file may be in somebody else's folder), and the system calls it needs. */
int confine_privileged_helper(void);
