#include "client/fetch_message.h"

#include <errno.h>
#include <string.h>

int fetch_decode_seen(const void *packet, size_t length, struct fetch_seen *seen)
{
	if (length != sizeof *seen)
		return -EPROTO;
	memcpy(seen, packet, sizeof *seen);
	seen->fault[sizeof seen->fault - 1] = '\0';
	return seen->certified <= 1 ? 0 : -EPROTO;
}

int fetch_decode_result(const void *packet, size_t length, struct fetch_result *result)
{
	if (length != sizeof *result)
		return -EPROTO;
	memcpy(result, packet, sizeof *result);
	result->text[sizeof result->text - 1] = '\0';
	/* FETCH_REFUSED is the client's own */
	if (result->outcome < FETCH_GRANTED || result->outcome > FETCH_FAILED ||
		result->has_retry_after > 1)
		return -EPROTO;
	return 0;
}
