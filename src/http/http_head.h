/*
 * The head of a request, line by line: RFC 9112, sections 2 to 6, as strict as clients in the field
 * allow. What two programs could understand differently is refused, not repaired.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed at first. The texts point into the lines that were passed in. */
struct http_head {
	const char *method;
	const char *path; /* as sent, not decoded; without the query. "*" in OPTIONS * */
	const char *authorization; /* the header's value; NULL if there is none */
	const char *client; /* that of Vprox-Client, the first if there are several; likewise */
	uint64_t content_length; /* bytes; 0 without the header */
	unsigned int minor_version; /* of HTTP/1 */
	bool has_host;
	bool has_content_length;
	bool chunked;
	bool expects_continue;
};

/*
 * Each takes one line of length bytes without its CR LF, and writes a NUL over some of them or
 * right behind the last. Returns 0, or -EINVAL if the line is malformed.
 */
int http_request_line(struct http_head *head, char *line, size_t length);
int http_field_line(struct http_head *head, char *line, size_t length);

/* Whether all lines together make a request. Returns 0 or -EINVAL. */
int http_head_check(const struct http_head *head);

/* RFC 9110, 5.6.2 and 5.5: what names and values are made of. */
bool http_is_token_char(char c);
bool http_is_field_char(char c);
