/* Whether the server is who it should be. Asked before the password goes out. */
#pragma once

#include <stddef.h>

#include "client/config.h"
#include "client/request_message.h"

/*
 * By --cacert and --pin (both, if both are given), else --insecure, else by what it was the first
 * time, which is remembered. Returns 0, -EPERM if not, or another errno if that cannot be found
 * out; why is filled in with what to do about it.
 */
int trust_decide(const struct client_config *config, const struct request_server *seen, char *why,
	size_t size);
