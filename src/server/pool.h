/*
 * The inner addresses of one endpoint. The block's network and broadcast addresses and its first
 * host address, the server's own, are never given out. An address never used before comes first,
 * the lowest of them; then the one freed longest ago.
 *
 * A released address is given to nobody before a purge: whoever deletes the connections that the
 * kernel still tracks for it (flow_purge.h) begins one, which takes in all that were released until
 * then, and ends it when they are gone. From the first purge's begin to its end that may also be
 * true of the addresses never used, see pool_doubt_unused().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/ipv4.h"

struct pool;

/* The block is a /30 or larger. Returns 0 or -ENOMEM. */
int pool_new(struct prefix block, struct pool **pool);
void pool_free(struct pool *pool);

/* The server's own address in a block. */
struct ipv4 pool_gateway(struct prefix block);

/*
 * Takes the next address. Returns 0, -EAGAIN if there is none but those that wait for the end of a
 * purge, or -ENOSPC if all are taken.
 */
int pool_take(struct pool *pool, struct ipv4 *address);

/* Whether it is one of those that are given out, taken or not. */
bool pool_contains(const struct pool *pool, struct ipv4 address);

/* Whether it is one of those that are taken. Any address. */
bool pool_is_taken(const struct pool *pool, struct ipv4 address);

/*
 * Takes this address, which a peer holds already. Returns 0, -EEXIST if it is taken, or -ERANGE if
 * it is none that the pool gives out.
 */
int pool_claim(struct pool *pool, struct ipv4 address);
/* Takes one that was released, whether or not a purge was about it: who gives the addresses is
 * another host. Returns 0, -EEXIST if it is taken or was never, or -ERANGE. */
int pool_claim_freed(struct pool *pool, struct ipv4 address);

/* Gives back an address that was taken. Cannot fail. */
void pool_release(struct pool *pool, struct ipv4 address);

/* An earlier server may have used what this one has not: none of it is given out before a purge.
 * Once, before the first purge. */
void pool_doubt_unused(struct pool *pool);
/* The purge of them cannot be had: as if they had not been doubted. */
void pool_trust_unused(struct pool *pool);

/* Whether there are addresses that wait for a purge to begin. */
bool pool_needs_purge(const struct pool *pool);
typedef void pool_address_fn(void *context, struct ipv4 address);
/* Calls back for each address that the purge is about. There must be none under way. */
void pool_begin_purge(struct pool *pool, pool_address_fn *each, void *context);
/*
 * The addresses that the purge was about can be given out. was_used(), which may be NULL, says of
 * one never used here whether it turned out to be used before: then it comes after those that were
 * not. Nothing happens if no purge is under way.
 */
typedef bool pool_was_used_fn(void *context, struct ipv4 address);
void pool_end_purge(struct pool *pool, pool_was_used_fn *was_used, void *context);

/* How many addresses there are in all, and how many are taken. */
uint32_t pool_capacity(const struct pool *pool);
uint32_t pool_taken(const struct pool *pool);
