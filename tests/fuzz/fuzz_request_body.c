/* The body of a request: the JSON, and the key in it. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>

#include "gate/request_body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct key key;
	int error = request_body_parse((const char *)data, size, &key);

	assert(error == 0 || error == -EBADMSG || error == -EINVAL);
	assert(error < 0 || !key_is_zero(&key));
	return 0;
}
