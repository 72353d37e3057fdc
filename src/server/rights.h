/* What this process may do. */
#pragma once

/* Whether it may administer the network (CAP_NET_ADMIN). Returns 0 or -EPERM, and logs what to do.
 */
int rights_check(void);
