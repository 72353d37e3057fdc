/* Finds the peer's public key in a request's JSON. Runs in the gate, on what a client sent. */
#include "gate/request_body.h"

#include <errno.h>
#include <strings.h>

#include <jansson.h>

static const char field_name[] = "PeerPublicKey";

/* Integers as reals, since no number is used and one that fits into no int64 is JSON all the
 * same. */
static const size_t decoding = JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL;

void request_body_warm_up(void)
{
	json_object_seed(0);
}

int request_body_parse(const char *body, size_t length, struct key *key)
{
	json_t *object = json_loadb(body, length, decoding, NULL);
	const json_t *text = NULL;
	const char *name;
	json_t *value;
	int error = -EBADMSG;

	if (!json_is_object(object))
		goto out;
	/* The iteration is in the order of first appearance. */
	json_object_foreach(object, name, value)
	{
		if (strcasecmp(name, field_name) != 0 || json_is_null(value))
			continue;
		if (!json_is_string(value))
			goto out;
		text = value;
	}
	error = -EINVAL;
	if (text && key_parse(json_string_value(text), json_string_length(text), key) == 0 &&
		!key_is_low_order(key))
		error = 0;
out:
	json_decref(object);
	return error;
}
