/* Gets a token from a web server, in the request process that was started for that. */
#pragma once

struct request_order;
struct request_result;

/*
 * The rest of that process's life: reads where to ask, opens what needs a right, gives up user and
 * system calls, asks one address of the server after the other, and writes the token. What
 * libraries read late was read before. On failure result says why; it is untouched otherwise.
 */
void token_exchange_run(const struct request_order *order, struct request_result *result);
