/* An answer, and how it is written. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "ipc/gate_counts.h"

enum {
	RESPONSE_BODY_MAX = 512,
	RESPONSE_MAX = 1024, /* of a whole answer */
};

struct response {
	unsigned int status;
	enum gate_path path; /* what was asked for */
	enum gate_refusal refusal; /* GATE_N_REFUSALS: it is none */
	const char *type; /* of the body: one of the constants below */
	const char *allow; /* the methods that would have been right, or NULL */
	unsigned int retry_after_s; /* when it is worth asking again; 0: not sent */
	char body[RESPONSE_BODY_MAX];
};

extern const char response_plain[]; /* text/plain */
extern const char response_json[]; /* application/json */

/* Sets status, type and body, and that it is no refusal. A body that is too long is cut. */
__attribute__((format(printf, 4, 5))) void response_set(
	struct response *response, unsigned int status, const char *type, const char *format, ...);

/* Writes it as HTTP/1.1 (without its body, as an answer to HEAD must be) into a buffer of
 * RESPONSE_MAX bytes. Returns its length. */
size_t response_write(
	const struct response *response, bool with_body, time_t now, char buffer[RESPONSE_MAX]);
