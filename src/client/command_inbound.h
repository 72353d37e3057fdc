/* What comes into the namespace of `vprox exec` out of the tunnel: answers. */
#pragma once

/* Inside of it, before there is a tunnel. Where the kernel cannot do it, that is logged. Returns 0,
 * -ENOMEM, or -ELIBACC, which is logged: libnftables cannot be loaded. */
int command_inbound_limit(void);
