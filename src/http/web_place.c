/* Parses where something is on a web server. Runs in processes that fetch it, on what a server has
 * sent, and where an environment is read. */
#include "http/web_place.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static const char scheme[] = "https://";

enum {
	SERVER_SIZE = sizeof scheme + URL_HOST_SIZE + sizeof "[]:65535",
};

/* Nothing that could end a line of a request, and nothing that has to be quoted: RFC 3986, 2. */
static bool is_target(const char *text)
{
	for (; *text; text++)
		if (*text <= ' ' || *text > '~' || strchr("#\"<>\\^`{|}", *text))
			return false;
	return true;
}

/* The path is kept as it is written: some have a slash at their end, and need it. */
int web_place_parse(const char *text, struct web_place *place)
{
	char server[SERVER_SIZE];
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
