/* The processes that vprox starts itself, as further ones: `vprox NAME`, which is not for people.
 */
#pragma once

struct own_process;

/* NULL: there is none of that name. */
const struct own_process *own_process_find(const char *name);

/*
 * Becomes the process. Returns its exit status; STATUS_USAGE if somebody has typed it, as far as
 * can be seen: with arguments, or without the descriptors that its parent gives it. Writes that it
 * is not to be started by hand then.
 */
int own_process_run(const struct own_process *process, int argc);
