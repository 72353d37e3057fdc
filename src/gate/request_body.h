/* What a client sends: {"PeerPublicKey":"<base64>"}. */
#pragma once

#include <stddef.h>

#include "base/key.h"

/*
 * Reads the peer's public key, as Go's json.Decoder and base64.StdEncoding do: the field's name in
 * any case, the last of duplicates counting, unknown fields ignored, null like a field that is not
 * there, anything behind the object ignored. Unlike Go, text that is not UTF-8 is no JSON.
 * Returns 0; -EBADMSG if the body is no JSON object or the field no string; -EINVAL if the key is
 * none: empty, not the base64 of 32 bytes, or one with which no handshake can end, such as the
 * all-zero one.
 */
int request_body_parse(const char *body, size_t length, struct key *key);

/* Has the JSON library read the randomness that it needs, which is in a file. */
void request_body_warm_up(void);
