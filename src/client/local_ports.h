/* The ports that the kernel gives to connections of this host's own: nobody is known to serve
 * there. */
#pragma once

struct local_ports {
	int first, last;
};

/* As they are now; what the kernel documents where it does not tell. */
struct local_ports local_ports_read(void);
