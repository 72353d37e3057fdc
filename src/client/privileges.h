/* The rights that a client keeps. */
#pragma once

/* What a client's work needs. A device of its own may use BPF; the certificates of --cacert may be
 * a user's, and the request process opens them before it becomes another one. Returns 0 or -errno,
 * logged. */
int client_give_up_rights(void);
