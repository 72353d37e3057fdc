/* The fast path's maps and programs, and where the programs are attached. Runs in the privileged
 * helper. */
#include "device/ipip/ipip_programs.h"

#include <errno.h>
#include <unistd.h>

#include "device/ipip/bpf.h"
#include "device/ipip/ipip_bpf.h"

void ipip_programs_init(struct ipip_programs *programs)
{
	*programs = (struct ipip_programs){.tx_map = -1, .rx_map = -1, .rx_program = -1};
}

void ipip_programs_close(struct ipip_programs *programs)
{
	while (programs->n_links > 0)
		close(programs->links[--programs->n_links]);
	if (programs->tx_map >= 0)
		close(programs->tx_map);
	if (programs->rx_map >= 0)
		close(programs->rx_map);
	if (programs->rx_program >= 0)
		close(programs->rx_program);
	ipip_programs_init(programs);
}

static int attach(
	struct ipip_programs *programs, int program, unsigned int interface, enum bpf_hook hook)
{
	int link;

	if (programs->n_links == sizeof programs->links / sizeof *programs->links)
		return -ENOSPC;
	link = bpf_attach(program, interface, hook);
	if (link < 0)
		return link;
	programs->links[programs->n_links++] = link;
	return 0;
}

int ipip_programs_attach(struct ipip_programs *programs, unsigned int interface)
{
	return attach(programs, programs->rx_program, interface, BPF_HOOK_INGRESS);
}

int ipip_programs_open(struct ipip_programs *programs, struct in_addr local, unsigned int tun)
{
	int tx_program = -1, error;

	ipip_programs_close(programs);
	programs->tx_map = error = bpf_hash_map("vprox_ipip_out", sizeof(struct in_addr),
		sizeof(struct ipip_tx_entry), IPIP_ENTRIES_MAX);
	if (error >= 0)
		programs->rx_map = error = bpf_hash_map("vprox_ipip_in", sizeof(struct in_addr),
			sizeof(struct ipip_rx_entry), IPIP_ENTRIES_MAX);
	if (error >= 0)
		programs->rx_program = error = ipip_load_rx(programs->rx_map, local, tun);
	if (error >= 0)
		tx_program = error = ipip_load_tx(programs->tx_map, local);
	if (error >= 0)
		error = attach(programs, tx_program, tun, BPF_HOOK_EGRESS);
	if (tx_program >= 0)
		close(tx_program);
	if (error < 0)
		ipip_programs_close(programs);
	return error;
}
