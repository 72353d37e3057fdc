/* The look at a client's first message. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>

#include "gate/client_hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whoever waits for what is needed comes to an end, and more bytes change no answer but "not yet".
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t needed = 0, length = 0;
	int error = client_hello_check(data, 0, &needed), whole;

	while (error == -EAGAIN && needed <= size) {
		assert(needed > length && needed <= CLIENT_HELLO_MAX);
		length = needed;
		error = client_hello_check(data, length, &needed);
	}
	assert(error == 0 || error == -EAGAIN || error == -EPROTO || error == -EMSGSIZE);
	/* Which rule is broken first may depend on how much is there, but not that one is. */
	whole = client_hello_check(data, size, &needed);
	assert(error == -EAGAIN || ((error == 0) == (whole == 0) && whole != -EAGAIN));
	return 0;
}
