/* Parses the address of a web server. Runs where a command line or an environment is read. */
#include "base/url.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
	HTTP_PORT = 80,
	HTTPS_PORT = 443,
	PORT_DIGITS = 5,
	HIGHEST_PORT = 65535,
};

static const char *read_scheme(const char *text, struct url *url)
{
	static const char clear[] = "http://", tls[] = "https://";

	url->is_tls = strncmp(text, tls, sizeof tls - 1) == 0;
	if (url->is_tls)
		return text + sizeof tls - 1;
	return strncmp(text, clear, sizeof clear - 1) == 0 ? text + sizeof clear - 1 : NULL;
}

/* Nothing but what can stand in a request: RFC 3986, 2. */
static bool is_plain(const char *text)
{
	for (; *text; text++)
		if (*text <= ' ' || *text == 0x7f || strchr("\"<>\\^`{|}@?#", *text))
			return false;
	return true;
}

static const char *read_host(const char *text, struct url *url)
{
	const bool is_ipv6 = *text == '[';
	const char *end = is_ipv6 ? strchr(text, ']') : text + strcspn(text, ":/");
	const char *begin = text + is_ipv6;

	if (!end || end == begin || (size_t)(end - begin) >= sizeof url->host)
		return NULL;
	memcpy(url->host, begin, (size_t)(end - begin));
	return end + is_ipv6;
}

const char *url_read_port(const char *text, uint32_t *port)
{
	const size_t n = strspn(text, "0123456789");

	*port = (uint32_t)strtoul(text, NULL, 10);
	return n > 0 && n <= PORT_DIGITS && *port > 0 && *port <= HIGHEST_PORT ? text + n : NULL;
}

static const char *read_port(const char *text, struct url *url)
{
	url->port = url->is_tls ? HTTPS_PORT : HTTP_PORT;
	return *text == ':' ? url_read_port(text + 1, &url->port) : text;
}

int url_parse(const char *text, struct url *url)
{
	const char *at;
	size_t length;

	*url = (struct url){0};
	at = is_plain(text) ? read_scheme(text, url) : NULL;
	if (at)
		at = read_host(at, url);
	if (at)
		at = read_port(at, url);
	if (!at || (*at && *at != '/'))
		return -EINVAL;
	length = strlen(at);
	while (length > 0 && at[length - 1] == '/')
		length--;
	if (length >= sizeof url->path)
		return -EINVAL;
	memcpy(url->path, at, length);
	return 0;
}
