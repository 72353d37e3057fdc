/*
 * A userspace device: a process of this program's own `device` subcommand, which goes on when this
 * one ends, asked over its control socket. For those who make devices: the embedded plane, and the
 * client.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/ipv4.h"
#include "base/key.h"

/*
 * Makes an interface and its device, and returns when the control socket is ready. unit: systemd
 * starts the device as an instance of this template, in a control group of its own; NULL: it is a
 * child. Returns 0 or -errno; -EIO: the process ended, and its own log says why.
 */
int device_process_start(const char *name, const char *unit);

/*
 * Sends a whole request, its final empty line included, to the device of this name, and returns its
 * answer, up to the errno line, in memory that the caller frees (answer may be NULL). Returns the
 * answer's errno, negative, or -ENODEV: no device listens.
 */
int embedded_ask(const char *name, const char *request, char **answer);

/* Takes the next "key=value" line out of an answer, in place. False at its end. */
bool embedded_next_line(char **answer, char **key, char **value);

/* What a client's device is set to: one peer, which leads to all of IPv4. */
struct device_way_out {
	const struct key *private_key;
	uint32_t mark; /* of the outer packets, for policy rules to tell them by */
	struct key server_key; /* WireGuard */
	struct ipv4 server;
	uint16_t port; /* WireGuard: UDP; 0: an IPIP tunnel */
	uint16_t keepalive_s;
	struct ipv4 local; /* IPIP: the outer address on this side */
};

/*
 * Sets the device's key, mark and one peer. A peer that is there already goes on without
 * interruption, but for alone: all peers are removed first, this one too, so that it is as new.
 * Returns 0 or -errno.
 */
int device_set_way_out(const char *name, const struct device_way_out *way, bool alone);

/* What can be asked of a device that an earlier client made. Return 0, -ENOENT if it is not so, or
 * -errno. */
int device_check_private_key(const char *name, const struct key *private_key);
int device_check_only_peer(const char *name, const struct key *public_key);
