/* What the server may do on its host. Runs in the broker, at its start. */
#include "server/privileges.h"

#include <sys/resource.h>

#include "base/harden.h"
#include "base/sandbox.h"
#include "server/config.h"

enum {
	SPARE_FILES = 64, /* of a gate: what is no connection and no listener */
};

/* What a server's work needs: the network, port 443, and processes as other users. */
int privileges_give_up(bool starts_devices)
{
	static const cap_value_t own[] = {CAP_NET_ADMIN, CAP_NET_RAW, CAP_NET_BIND_SERVICE,
		CAP_SETUID, CAP_SETGID, CAP_SETPCAP, CAP_KILL};
	static const cap_value_t devices[] = {CAP_BPF};
	const struct harden_config config = {
		.capabilities = own,
		.n_capabilities = sizeof own / sizeof *own,
		.childrens = devices,
		.n_childrens = starts_devices ? 1 : 0,
		.allows_bpf = starts_devices,
	};

	return harden_process(&config);
}

/* A listener for each --ip, and twice as many while a gate is being started; and what a gate needs,
 * since the right to raise the limit is given up. */
void privileges_raise_files(const struct server_config *config)
{
	struct rlimit limit;

	sandbox_raise_files(config->max_connections +
			    (unsigned int)server_config_max_endpoints(config) + SPARE_FILES);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}
