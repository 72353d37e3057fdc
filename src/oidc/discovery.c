/* Parses an issuer's configuration. Runs in the process that fetches its keys, on what a server
 * sent. */
#include "oidc/discovery.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "ipc/issuer.h"

static const char well_known[] = "/.well-known/openid-configuration";

/* Nothing that could end a line of a request, and nothing that has to be quoted: RFC 3986, 2. */
static bool is_target(const char *text)
{
	for (; *text; text++)
		if (*text <= ' ' || *text > '~' || strchr("#\"<>\\^`{|}", *text))
			return false;
	return true;
}

/* The path is kept as it is written: some have a slash at their end, and need it. */
static int parse_place(const char *text, struct web_place *place)
{
	static const char scheme[] = "https://";
	char server[ISSUER_URL_SIZE];
	size_t n = strncmp(text, scheme, sizeof scheme - 1) == 0
			   ? sizeof scheme - 1 + strcspn(text + sizeof scheme - 1, "/?#")
			   : 0;
	const char *target = text[n] ? text + n : "/";

	*place = (struct web_place){.target = ""};
	if (n == 0 || n >= sizeof server || *target != '/' || !is_target(target) ||
		strlen(target) >= sizeof place->target)
		return -EINVAL;
	memcpy(server, text, n);
	server[n] = '\0';
	strcpy(place->target, target);
	return url_parse(server, &place->server);
}

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
	return parse_place(text, place);
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
		error = parse_place(place, keys);
	json_decref(document);
	return error;
}
