/*
 * Starts a userspace device: a process of this program's own `device` subcommand, which goes on
 * when the one that started it ends.
 */
#pragma once

/*
 * Makes an interface and its device, and returns when the control socket is ready. unit: systemd
 * starts the device as an instance of this template, in a control group of its own; NULL: it is a
 * child. Returns 0 or -errno; -EIO: the process ended, and its own log says why; -ETIMEDOUT: it was
 * not ready within 20 s.
 */
int device_process_start(const char *name, const char *unit);
