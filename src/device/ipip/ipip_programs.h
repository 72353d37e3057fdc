/*
 * What the fast path of IPIP has in the kernel (ipip_bpf.h): two maps, and the programs, attached
 * to the TUN and to the interfaces that peers' packets arrive on, for as long as these descriptors
 * are open. Needs CAP_BPF and CAP_NET_ADMIN: the privileged helper's.
 */
#pragma once

#include <netinet/in.h>

enum {
	IPIP_UPLINKS_MAX = 64,
	IPIP_PROGRAMS_FIRST_LINK = 3, /* the number of the first in ipip_programs_file() */
};

struct ipip_programs {
	int tx_map, rx_map; /* -1: none is open */
	int rx_program;
	int links[IPIP_UPLINKS_MAX + 1]; /* the first is the TUN's */
	unsigned int n_links;
};

/* Nothing is open. */
void ipip_programs_init(struct ipip_programs *programs);

/* Makes the maps, loads both programs for this local address, and attaches the one for packets that
 * leave to the TUN (its ifindex). What was open is closed before. Returns 0, or -errno: nothing is
 * open. */
int ipip_programs_open(struct ipip_programs *programs, struct in_addr local, unsigned int tun);

/* Attaches the one for packets that arrive to an interface. Returns 0 or -errno. */
int ipip_programs_attach(struct ipip_programs *programs, unsigned int interface);

void ipip_programs_close(struct ipip_programs *programs);

/*
 * Another process goes on with them: all that is open, by numbers from 0 on (maps, program, then
 * the places where they are attached), in this order. The first returns the descriptor, which stays
 * where it is, or -1: there is none of that number. The second keeps one, and returns 0 or -errno.
 */
int ipip_programs_file(struct ipip_programs *programs, unsigned int number);
int ipip_programs_adopt(struct ipip_programs *programs, unsigned int number, int fd);
