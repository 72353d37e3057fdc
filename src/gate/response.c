/* Writes an answer as HTTP. Runs in the gate. */
#include "gate/response.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char response_plain[] = "text/plain";
const char response_json[] = "application/json";

void response_set(
	struct response *response, unsigned int status, const char *type, const char *format, ...)
{
	va_list args;

	response->status = status;
	response->type = type;
	response->allow = NULL;
	response->retry_after_s = 0;
	response->refusal = GATE_N_REFUSALS;
	va_start(args, format);
	vsnprintf(response->body, sizeof response->body, format, args);
	va_end(args);
}

static const char *reason(unsigned int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 400:
		return "Bad Request";
	case 401:
		return "Unauthorized";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 409:
		return "Conflict";
	case 413:
		return "Content Too Large";
	case 429:
		return "Too Many Requests";
	case 431:
		return "Request Header Fields Too Large";
	case 500:
		return "Internal Server Error";
	case 503:
		return "Service Unavailable";
	default:
		return "Unknown";
	}
}

size_t response_write(
	const struct response *response, bool with_body, time_t now, char buffer[RESPONSE_MAX])
{
	char date[sizeof "Mon, 01 Jan 2001 00:00:00 GMT"];
	char retry_after[sizeof "Retry-After: 4294967295\r\n"] = "";
	struct tm tm;
	int n;

	gmtime_r(&now, &tm);
	if (strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &tm) == 0)
		date[0] = '\0';
	if (response->retry_after_s > 0)
		snprintf(retry_after, sizeof retry_after, "Retry-After: %u\r\n",
			response->retry_after_s);
	n = snprintf(buffer, RESPONSE_MAX,
		"HTTP/1.1 %u %s\r\n"
		"Date: %s\r\n"
		"Content-Type: %s\r\n"
		"Content-Length: %zu\r\n"
		"Connection: close\r\n"
		"%s%s%s%s"
		"\r\n%s",
		response->status, reason(response->status), date, response->type,
		strlen(response->body), response->allow ? "Allow: " : "",
		response->allow ? response->allow : "", response->allow ? "\r\n" : "", retry_after,
		with_body ? response->body : "");
	return n < RESPONSE_MAX ? (size_t)n : RESPONSE_MAX - 1;
}
