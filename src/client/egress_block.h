/*
 * Nothing that --route names leaves beside the tunnel: a table of nftables, inet
 * vprox-block-INTERFACE, by destination. Routes alone do not do that: a program that chooses its
 * outgoing interface passes by them, and others change them.
 */
#pragma once

#include "client/config.h"
#include "client/tunnel.h"

struct egress_block;
struct event_base;

#define EGRESS_BLOCK_PREFIX "vprox-block-"

/* What becomes of it at the end. */
enum egress_block_end {
	EGRESS_BLOCK_OPEN, /* somebody has said so */
	EGRESS_BLOCK_KEEP,
	EGRESS_BLOCK_AS_FOUND, /* as it was at the start */
};

/*
 * Closes, before there is a tunnel; or opens what an earlier client has left closed, if the
 * configuration closes nothing. From then on it is put right whenever another program changes it,
 * and follows the host's networks. base NULL: it is not, for a process that ends at once. Returns 0
 * or -errno, logged: -EOPNOTSUPP if the kernel cannot.
 */
int egress_block_open(
	struct event_base *base, const struct client_config *config, struct egress_block **block);

/* For a tunnel that was granted. Returns 0 or -errno, logged. */
int egress_block_set(struct egress_block *block, const struct tunnel *tunnel);

/* Frees. NULL is fine. */
void egress_block_close(struct egress_block *block, enum egress_block_end end);

/* What a client that does not run any more has left of it. Logs it. dry_run: removes nothing.
 * Returns 1, 0 if there is none, or -errno, logged. */
int egress_block_remove(const char *interface, bool dry_run);

/* `vprox connect --block=only` and `--block=open`: closes, or opens, and that is all. Returns 0 or
 * -errno, logged. */
int egress_block_once(const struct client_config *config);
