/* Reads the range of local ports. Runs in the client. */
#include "client/local_ports.h"

#include <stdio.h>

#include "base/cleanup.h"

enum {
	/* Documentation/networking/ip-sysctl.rst, the kernel's own */
	FIRST_PORT = 32768,
	LAST_PORT = 60999,
};

struct local_ports local_ports_read(void)
{
	auto_fclose FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
	struct local_ports ports;

	if (file && fscanf(file, "%d %d", &ports.first, &ports.last) == 2)
		return ports;
	return (struct local_ports){FIRST_PORT, LAST_PORT};
}
