/* Gives up what a client does not need. Runs in the client, at its start. */
#include "client/privileges.h"

#include "base/harden.h"

int client_give_up_rights(void)
{
	static const cap_value_t own[] = {CAP_NET_ADMIN, CAP_NET_RAW, CAP_NET_BIND_SERVICE,
		CAP_SETUID, CAP_SETGID, CAP_SETPCAP, CAP_KILL};
	static const cap_value_t processes[] = {CAP_BPF, CAP_DAC_READ_SEARCH};
	const struct harden_config config = {
		.capabilities = own,
		.n_capabilities = sizeof own / sizeof *own,
		.childrens = processes,
		.n_childrens = sizeof processes / sizeof *processes,
		.allows_bpf = true,
	};

	return harden_process(&config);
}
