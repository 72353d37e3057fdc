/* Judges answers of a server that grant no tunnel. Runs in the client. */
#include "client/refusal.h"

#include <stdio.h>

#include "client/backoff.h"
#include "client/config.h"
#include "client/request_supervisor.h"

/* HTTP's */
enum {
	STATUS_UNAUTHORIZED = 401,
	STATUS_CONFLICT = 409,
	STATUS_TOO_MANY = 429,
	STATUS_UNAVAILABLE = 503,
};

/* Until a wrong password is tried again, s: it may be corrected at the server. */
enum { UNAUTHORIZED_RETRY_S = 15 };

bool refusal_is_final(const struct request_result *result, bool was_granted, bool must_go_on)
{
	static const unsigned int final[] = {400, 403, 404, 405};

	for (size_t i = 0; i < sizeof final / sizeof *final; i++)
		if (result->status == final[i])
			return !was_granted;
	return result->status == STATUS_UNAUTHORIZED && !must_go_on;
}

static const char *advice(const struct request_result *result, bool must_go_on, bool shows_token)
{
	if (result->status == STATUS_CONFLICT)
		return ": over IPIP an address, such as a NAT's, is good for one client; use "
		       "--tunnel=wireguard";
	if (result->status != STATUS_UNAUTHORIZED)
		return "";
	if (shows_token)
		return must_go_on ? ": the server does not take this token; what --route names "
				    "stays blocked until it takes one: "
				  : ": the server does not take this token";
	return must_go_on ? ": VPROX_PASSWORD is not the server's password; what --route names "
			    "stays blocked until it is: "
			  : ": VPROX_PASSWORD is not the server's password";
}

void refusal_write(const struct request_result *result, bool must_go_on,
	const struct client_config *config, char *text, size_t size)
{
	const char *file = config->password_file;
	const bool waits = must_go_on && result->status == STATUS_UNAUTHORIZED;

	snprintf(text, size, "%s (HTTP status %u)%s%s%s%s",
		*result->text ? result->text : "it refuses", result->status,
		advice(result, must_go_on, config->shows_token),
		!waits ? ""
		: file ? "put the right one into "
		       : "start the client with the right one",
		waits && file ? file : "", waits ? ", or stop it to do without the tunnel" : "");
}

uint32_t refusal_pause(const struct request_result *result, struct backoff *backoff)
{
	bool may_wait = result->status == STATUS_TOO_MANY || result->status == STATUS_UNAVAILABLE ||
			result->status == STATUS_CONFLICT;

	if (result->status == STATUS_UNAUTHORIZED)
		return backoff_after(backoff, UNAUTHORIZED_RETRY_S);
	return may_wait && result->has_retry_after ? backoff_after(backoff, result->retry_after_s)
						   : backoff_next(backoff);
}
