/* Keys as the control socket has them: 64 hexadecimal digits. */
#pragma once

#include "base/key.h"

struct hex_text {
	char s[2 * KEY_SIZE + 1];
};

/* Returns 0 or -EINVAL. In constant time but for the length. */
int hex_parse_key(const char *text, struct key *key);
struct hex_text hex_key(const struct key *key);
