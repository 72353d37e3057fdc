/* Parses the request line and the header fields. Runs in the gate, on what a client sent. */
#include "http/http_head.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_alphanumeric(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_visible(char c)
{
	return c > ' ' && c < 0x7f;
}

bool http_is_token_char(char c)
{
	return is_alphanumeric(c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

bool http_is_field_char(char c)
{
	return is_visible(c) || c == ' ' || c == '\t' || (unsigned char)c >= 0x80;
}

/* RFC 3986, 3.2.2 and 3.2.3: a host and its port, user information left out. */
static bool is_host_char(char c)
{
	return is_alphanumeric(c) || (c != '\0' && strchr("-._~!$&'()*+,;=:[]%", c));
}

static bool all_of(const char *text, size_t length, bool (*belongs)(char))
{
	for (size_t i = 0; i < length; i++)
		if (!belongs(text[i]))
			return false;
	return true;
}

/* RFC 9112, 3.2. The target is NUL-terminated; the path is cut out of it in place. */
static const char *path_of_target(char *target)
{
	static const char root[] = "/";
	size_t scheme = 0, host;

	target[strcspn(target, "?")] = '\0';
	if (*target == '/' || strcmp(target, "*") == 0)
		return target;
	if (strncasecmp(target, "http://", 7) == 0)
		scheme = 7;
	else if (strncasecmp(target, "https://", 8) == 0)
		scheme = 8;
	host = strcspn(target + scheme, "/");
	if (scheme == 0 || host == 0 || !all_of(target + scheme, host, is_host_char))
		return NULL;
	target += scheme + host;
	return *target ? target : root;
}

int http_request_line(struct http_head *head, char *line, size_t length)
{
	char *end = line + length;
	char *target = memchr(line, ' ', length);
	char *version = target ? memchr(target + 1, ' ', (size_t)(end - target - 1)) : NULL;

	if (!version)
		return -EINVAL;
	*target++ = *version++ = *end = '\0';
	if (end - version != (ptrdiff_t)strlen("HTTP/1.x") ||
		(strcmp(version, "HTTP/1.0") != 0 && strcmp(version, "HTTP/1.1") != 0))
		return -EINVAL;
	head->minor_version = version[strlen("HTTP/1.")] == '1';

	size_t method_length = (size_t)(target - 1 - line);
	size_t target_length = (size_t)(version - 1 - target);

	if (method_length == 0 || !all_of(line, method_length, http_is_token_char) ||
		!all_of(target, target_length, is_visible) || strchr(target, '#'))
		return -EINVAL;
	head->method = line;
	head->path = path_of_target(target);
	return head->path ? 0 : -EINVAL;
}

static int parse_host(struct http_head *head, const char *value)
{
	if (head->has_host || !all_of(value, strlen(value), is_host_char))
		return -EINVAL;
	head->has_host = true;
	return 0;
}

/* One number, once: two of them are how a request is smuggled past another program, also when they
 * are the same. */
static int parse_content_length(struct http_head *head, const char *value)
{
	uint64_t length = 0;

	if (head->has_content_length || *value == '\0' || !all_of(value, strlen(value), is_digit))
		return -EINVAL;
	for (; *value; value++)
		length = length > UINT64_MAX / 10 - 1 ? UINT64_MAX
						      : length * 10 + (uint64_t)(*value - '0');
	head->content_length = length;
	head->has_content_length = true;
	return 0;
}

static int parse_transfer_encoding(struct http_head *head, const char *value)
{
	if (head->chunked || strcasecmp(value, "chunked") != 0)
		return -EINVAL;
	head->chunked = true;
	return 0;
}

static int parse_authorization(struct http_head *head, const char *value)
{
	if (head->authorization)
		return -EINVAL;
	head->authorization = value;
	return 0;
}

/* docs/api.md */
static int parse_client(struct http_head *head, const char *value)
{
	if (!head->client && *value)
		head->client = value;
	return 0;
}

/* RFC 9110, 10.1.1: other expectations may be ignored. */
static int parse_expect(struct http_head *head, const char *value)
{
	if (strcasecmp(value, "100-continue") == 0)
		head->expects_continue = true;
	return 0;
}

static const struct {
	const char *name;
	int (*parse)(struct http_head *head, const char *value);
} known_fields[] = {
	{"Host", parse_host},
	{"Content-Length", parse_content_length},
	{"Transfer-Encoding", parse_transfer_encoding},
	{"Authorization", parse_authorization},
	{"Vprox-Client", parse_client},
	{"Expect", parse_expect},
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* RFC 9112, 5. A folded line begins with a blank, which is no token character. */
int http_field_line(struct http_head *head, char *line, size_t length)
{
	char *end = line + length;
	char *colon = memchr(line, ':', length);

	if (!colon || colon == line || !all_of(line, (size_t)(colon - line), http_is_token_char) ||
		!all_of(colon + 1, (size_t)(end - colon - 1), http_is_field_char))
		return -EINVAL;

	char *value = colon + 1;

	while (value < end && is_blank(*value))
		value++;
	while (end > value && is_blank(end[-1]))
		end--;
	*colon = *end = '\0';
	for (size_t i = 0; i < sizeof known_fields / sizeof *known_fields; i++)
		if (strcasecmp(line, known_fields[i].name) == 0)
			return known_fields[i].parse(head, value);
	return 0;
}

int http_head_check(const struct http_head *head)
{
	bool is_1_1 = head->minor_version == 1;

	if (!head->method || (is_1_1 && !head->has_host))
		return -EINVAL;
	/* RFC 9112, 6.1: chunked in HTTP/1.0, or beside a Content-Length, is an attack or a
	 * fault. */
	if (head->chunked && (!is_1_1 || head->has_content_length))
		return -EINVAL;
	return 0;
}
