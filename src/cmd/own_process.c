/* Finds what a process is that vprox has started itself, and checks that it was. Runs in each of
 * them, before anything else. */
#include "cmd/own_process.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "client/request_message.h"
#include "client/request_process.h"
#include "cloud/cloud.h"
#include "cmd/command.h"
#include "flows/flows.h"
#include "gate/gate.h"
#include "holder/holder.h"
#include "ipc/cloud.h"
#include "ipc/flow_process.h"
#include "ipc/gate_config.h"
#include "ipc/holding.h"
#include "ipc/issuer_fetch.h"
#include "ipc/metrics_process.h"
#include "ipc/signing.h"
#include "metrics/metrics.h"
#include "oidc/oidc.h"
#include "signer/signer.h"

struct own_process {
	const char *name, *parent; /* subcommands */
	int first, last; /* descriptors that it is given */
	int (*main)(void);
};

static const struct own_process processes[] = {
	{"cloud", "server", CLOUD_FD_BROKER, CLOUD_FD_BROKER, cloud_main},
	{"flows", "server", FLOWS_FD_BROKER, FLOWS_FD_EVENTS, flows_main},
	{"gate", "server", GATE_FD_BROKER, GATE_FD_CONFIG, gate_main},
	{"holder", "server", HOLDER_FD_SERVER, HOLDER_FD_SOCKET, holder_main},
	{"metrics", "server", METRICS_FD_BROKER, METRICS_FD_LISTENER, metrics_main},
	{"oidc", "server", ISSUER_FETCH_FD_BROKER, ISSUER_FETCH_FD_AUTHORITIES, oidc_main},
	{"request", "connect", REQUEST_FD, REQUEST_FD, request_process_main},
	{"signer", "server", SIGNER_FD_BROKER, SIGNER_FD_KEY, signer_main},
};

const struct own_process *own_process_find(const char *name)
{
	for (size_t i = 0; i < sizeof processes / sizeof *processes; i++)
		if (strcmp(processes[i].name, name) == 0)
			return &processes[i];
	return NULL;
}

static bool are_open(int first, int last)
{
	for (int fd = first; fd <= last; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			return false;
	return true;
}

int own_process_run(const struct own_process *process, int argc)
{
	if (argc == 1 && are_open(process->first, process->last))
		return process->main();
	fprintf(stderr, "vprox %s: started by `vprox %s`, not by hand\n", process->name,
		process->parent);
	return STATUS_USAGE;
}
