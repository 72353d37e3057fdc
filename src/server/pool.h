/*
 * The inner addresses of one endpoint. The block's network and broadcast addresses and its first
 * host address, the server's own, are never given out. An address never used before comes first,
 * the lowest of them; then the one freed longest ago, so that old flows to a former holder have
 * died before the address has a new one.
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

/* Takes the next address. Returns 0, -ENOSPC if all are taken, or -ENOMEM. */
int pool_take(struct pool *pool, struct ipv4 *address);

/* Whether it is one of those that are given out, taken or not. */
bool pool_contains(const struct pool *pool, struct ipv4 address);

/*
 * Takes this address, which a peer holds already. Returns 0, -EEXIST if it is taken, -ERANGE if it
 * is none that the pool gives out, or -ENOMEM.
 */
int pool_claim(struct pool *pool, struct ipv4 address);

/* Gives back an address that was taken. Cannot fail. */
void pool_release(struct pool *pool, struct ipv4 address);

/* How many addresses there are in all, and how many are taken. */
uint32_t pool_capacity(const struct pool *pool);
uint32_t pool_taken(const struct pool *pool);
