/* Parses an issuer's configuration. Runs in the process that fetches its keys, on what a server
 * sent. */
#include "oidc/discovery.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "ipc/issuer.h"

static const char well_known[] = "/.well-known/openid-configuration";

static size_t length_without_slash(const char *url)
{
	size_t n = strlen(url);

	return n > 0 && url[n - 1] == '/' ? n - 1 : n;
}

/* 4.1: a slash at the end is left out before the rest is added. */
int discovery_place(const char *issuer, struct web_place *place)
{
	char text[ISSUER_URL_SIZE + sizeof well_known];

	if (strchr(issuer, '?'))
		return -EINVAL;
	if (snprintf(text, sizeof text, "%.*s%s", (int)length_without_slash(issuer), issuer,
		    well_known) >= (int)sizeof text)
		return -EINVAL;
	return web_place_parse(text, place);
}

/* 4.3: who says to be another one may be serving that one's document. */
static int check_issuer(const json_t *document, const char *issuer)
{
	const json_t *named = json_object_get(document, "issuer");
	const char *text = json_string_value(named);

	if (!named)
		return 0;
	if (!text)
		return -EBADMSG;
	return length_without_slash(text) == length_without_slash(issuer) &&
			       strncmp(text, issuer, length_without_slash(issuer)) == 0
		       ? 0
		       : -EXDEV;
}

int discovery_parse(const char *text, size_t length, const char *issuer, struct web_place *keys)
{
	json_t *document = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
	const char *place = json_string_value(json_object_get(document, "jwks_uri"));
	int error = place ? check_issuer(document, issuer) : -EBADMSG;

	if (error == 0)
		error = web_place_parse(place, keys);
	json_decref(document);
	return error;
}
