/* Work whose memory must not stay behind. */
#pragma once

/*
 * Does it in a process of its own, a copy of this one that ends with it, and waits for that: what
 * it leaves in memory that was freed, on the stack or in a library's buffers is gone with it. All
 * that it hands back are its return value and what it writes to files. For a program of one thread.
 * Returns what work returned, 0 or a negative errno; -EIO if the process died; or -errno.
 */
int do_apart(int (*work)(void *context), void *context);
