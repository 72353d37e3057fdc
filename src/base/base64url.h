/* Bytes as text that needs no quoting: RFC 4648, 5, without padding (RFC 7515, 2). */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Decodes length characters. Strictly: no padding, no blank, and no bits left over that are not
 * zero, so that no two texts mean the same bytes. Returns how many bytes there are, -EBADMSG for
 * what is no such text, or -ENOSPC for more bytes than size. The buffer may be the text itself.
 */
ssize_t base64url_decode(const char *text, size_t length, void *buffer, size_t size);
