/* Where something is that is fetched from a web server by TLS. */
#pragma once

#include "base/url.h"

enum {
	WEB_TARGET_SIZE = 1024, /* with the final NUL */
};

struct web_place {
	struct url server; /* without a path */
	char target[WEB_TARGET_SIZE]; /* the path with its query */
};

/* Of https://HOST[:PORT][/PATH][?QUERY]. Returns 0, or -EINVAL for another scheme, a fragment, a
 * user, what cannot stand in a request (RFC 3986, 2), and what is too long. */
int web_place_parse(const char *text, struct web_place *place);
