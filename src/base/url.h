/* Addresses of web servers: http://HOST[:PORT][/PATH] and https:// (RFC 3986), as far as they are
 * used here: no user, no query, and IPv6 in brackets. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	URL_HOST_SIZE = 256, /* with the final NUL, as the next one */
	URL_PATH_SIZE = 512,
};

struct url {
	uint32_t is_tls; /* https */
	uint32_t port; /* host byte order */
	char host[URL_HOST_SIZE]; /* without brackets */
	char path[URL_PATH_SIZE]; /* without the slash at its end; "" or "/..." */
};

/* Reads a port of one to five digits, host byte order. Returns what stands behind it; NULL: it is
 * none. */
const char *url_read_port(const char *text, uint32_t *port);

/* Returns 0 or -EINVAL. */
int url_parse(const char *text, struct url *url);
