/* Whether data plane, server, store and host agree on who has which address. */
#pragma once

#include <stdint.h>

struct check_result;

/*
 * Looks once, and where something disagrees again, every half second until it does not, for so long
 * at the most: a change that is under way, or that the server is about to put right, is no
 * disagreement. Returns 0, or -errno if it cannot be told: then ask_error is set, or
 * why is logged. To be freed with server_check_free() in either case.
 */
int server_check(uint64_t wait_ms, struct check_result *check);
void server_check_free(struct check_result *check);
