/* The fast path's maps and programs, and where the programs are attached. Runs in the privileged
 * helper. */
#include "device/ipip/ipip_programs.h"

#include <errno.h>
#include <stdbool.h>
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

/* Where the descriptor of that number is kept; NULL: there is none of that number. */
static int *place_of(struct ipip_programs *programs, unsigned int number)
{
	int *const first[IPIP_PROGRAMS_FIRST_LINK] = {
		&programs->tx_map, &programs->rx_map, &programs->rx_program};

	if (number < IPIP_PROGRAMS_FIRST_LINK)
		return first[number];
	number -= IPIP_PROGRAMS_FIRST_LINK;
	return number < sizeof programs->links / sizeof *programs->links ? &programs->links[number]
									 : NULL;
}

int ipip_programs_file(struct ipip_programs *programs, unsigned int number)
{
	const int *place = place_of(programs, number);

	if (!place || programs->tx_map < 0 ||
		number >= IPIP_PROGRAMS_FIRST_LINK + programs->n_links)
		return -1;
	return *place;
}

int ipip_programs_adopt(struct ipip_programs *programs, unsigned int number, int fd)
{
	const bool is_link = number >= IPIP_PROGRAMS_FIRST_LINK;
	int *place = place_of(programs, number);

	if (fd < 0)
		return fd;
	/* each once, and links in their order */
	if (!place ||
		(is_link ? number != IPIP_PROGRAMS_FIRST_LINK + programs->n_links : *place >= 0)) {
		close(fd);
		return -EINVAL;
	}
	*place = fd;
	programs->n_links += is_link;
	return 0;
}
