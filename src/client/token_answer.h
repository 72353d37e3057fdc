/* What GitHub answers who asks for a token: {"value": "<JWT>"}. */
#pragma once

#include <stddef.h>

struct request_token;

/*
 * Parses it, and the time when the token expires, where it is a JWT that says so (RFC 7519, 4.1.4);
 * its signature is nobody's matter but the server's. json_object_seed() was called before. Returns
 * 0; -EBADMSG for what has no such value; -EINVAL for a token that no header can have; -E2BIG.
 */
int token_answer_parse(const char *text, size_t length, struct request_token *token);
