/* The open files that a device consists of, on their way to another process. */
#pragma once

#include <stdint.h>

#include "device/io/tun.h"
#include "device/ipip/ipip_programs.h"

enum {
	HANDOVER_CONNECTIONS_MAX = 64,
	HANDOVER_PROGRAMS_MAX = IPIP_PROGRAMS_FIRST_LINK + IPIP_UPLINKS_MAX + 1,
};

/* What is the process's, and not the device's. -1: none. */
struct handover_files {
	int control_listener; /* of the control socket, and its connections */
	int connections[HANDOVER_CONNECTIONS_MAX];
	unsigned int n_connections;
	int listener; /* handover_socket.h */
	int log; /* standard error */
	int notify; /* notify_open() */
};

/* What the device is made of. -1: none. */
struct handover_device_files {
	int tun[TUN_QUEUES_MAX], udp4[TUN_QUEUES_MAX], udp6[TUN_QUEUES_MAX];
	int raw, fragmenting;
	int tx_map, rx_map;
	int programs[HANDOVER_PROGRAMS_MAX];
};
