/*
 * ICMP echoes (RFC 792) through the tunnel: out of its interface, to the server's inner address. An
 * answer is known by a token of chance, which nobody else knows.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ipv4.h"

enum {
	ECHO_TOKEN_SIZE = 16,
	ECHO_LEAST = 44, /* bytes of a packet: the headers of IPv4 and ICMP, and the token */
	ECHO_MOST = 65535, /* RFC 791 */
};

struct echo {
	struct ipv4 gateway;
	uint16_t sequence;
	uint8_t token[ECHO_TOKEN_SIZE];
};

/* A raw socket of that interface. given: a copy of this raw ICMP socket, in whatever namespace it
 * is; -1: a new one. mark: of what is sent, for firewalls; 0: none. Returns it, the caller's, or
 * -errno. */
int echo_open(int given, const char *interface, uint32_t mark);

/* Another token. */
void echo_renew(struct echo *echo);

/* Never waits. size: of the packet in bytes, with its IPv4 header: ECHO_LEAST to ECHO_MOST. What
 * cannot be sent is as good as lost. */
void echo_send(int fd, const struct echo *echo, size_t size);

/* Reads a packet; length: of the whole packet, larger than what was asked for here. Returns 1 if it
 * is the answer, 0 if it is none, or -errno: -EAGAIN, there is none. */
int echo_receive(int fd, const struct echo *echo, size_t *length);
