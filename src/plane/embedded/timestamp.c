/* Asks a device for the timestamps of its handshakes. Runs in the server's broker. */
#include "plane/embedded/timestamp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "plane/embedded/device.h"
#include "uapi_client/ask.h"

enum { DECIMAL = 10 };

/* What a device says, ns since 1970; 0: there is none. */
struct answer {
	uint64_t next, latest;
};

static int ask(const char *name, struct answer *answer)
{
	char *text = NULL, *key, *value;
	int error = uapi_client_ask(name, "get_timestamp=1\n\n", &text);
	char *rest = text;

	*answer = (struct answer){0};
	while (error == 0 && uapi_client_next_line(&rest, &key, &value))
		if (strcmp(key, "timestamp") == 0)
			answer->next = strtoull(value, NULL, DECIMAL);
		else if (strcmp(key, "latest") == 0)
			answer->latest = strtoull(value, NULL, DECIMAL);
	free(text);
	return error;
}

bool timestamp_is_to_be_told(const char *name)
{
	struct answer answer;

	return ask(name, &answer) == 0 && answer.latest == 0;
}

int embedded_timestamp(struct plane_device *plane_device, uint64_t *ns)
{
	struct embedded_device *device = embedded_of_device(plane_device);
	struct answer answer;
	int error = ask(device->name.s, &answer);

	/* One of an earlier version, which goes by the clock. */
	*ns = error == -EINVAL ? clock_wall_ns() : answer.next;
	return error == 0 || error == -EINVAL
		       ? 0
		       : embedded_fail(embedded_plane_of(device), error,
				 "ask %s for the timestamp of its handshakes", device->name.s);
}
