/* What an issuer says of itself: OpenID Connect Discovery 1.0, 4. */
#pragma once

#include <stddef.h>

#include "http/web_place.h"

/* Where an issuer says it. Returns 0, or -EINVAL if the issuer's URL is none of https, or too long.
 */
int discovery_place(const char *issuer, struct web_place *place);

/*
 * Where its keys are. Returns 0; -EBADMSG for what is no such document; -EINVAL if the place is no
 * https:// URL; -EXDEV if the document is another issuer's.
 */
int discovery_parse(const char *text, size_t length, const char *issuer, struct web_place *keys);
