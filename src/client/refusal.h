/* What a client makes of a server's answer other than 200. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct backoff;
struct client_config;
struct request_result;

/*
 * Whether asking again would be of no use. was_granted: there has been a tunnel, so the server is
 * the right one; must_go_on: and what goes through it must not go beside it, so that not even a
 * wrong password is an end.
 */
bool refusal_is_final(const struct request_result *result, bool was_granted, bool must_go_on);

/* For the log, what the server says and what to do. */
void refusal_write(const struct request_result *result, bool must_go_on,
	const struct client_config *config, char *text, size_t size);

/* How long to wait before asking again, ms. */
uint32_t refusal_pause(const struct request_result *result, struct backoff *backoff);
