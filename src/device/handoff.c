/* The ring of handshake messages: a worker writes, the control thread reads. */
#include "device/handoff.h"

#include <string.h>

bool handoff_write(struct handoff *handoff, const struct udp_endpoint *source, const uint8_t *data,
	size_t length, bool *wake)
{
	uint32_t written = atomic_load_explicit(&handoff->written, memory_order_relaxed);
	uint32_t read = atomic_load(&handoff->read);
	struct handoff_message *message = &handoff->messages[written % HANDOFF_PLACES];

	if (written - read == HANDOFF_PLACES || length > sizeof message->data)
		return false;
	message->source = *source;
	message->length = (uint32_t)length;
	memcpy(message->data, data, length);
	/* in one total order with the reader's: either it sees this one, or we see that it had
	 * read all before */
	atomic_store(&handoff->written, written + 1);
	*wake |= atomic_load(&handoff->read) == written;
	return true;
}

uint32_t handoff_count(const struct handoff *handoff)
{
	return atomic_load(&handoff->written) -
	       atomic_load_explicit(&handoff->read, memory_order_relaxed);
}

const struct handoff_message *handoff_look(const struct handoff *handoff, uint32_t number)
{
	uint32_t read = atomic_load_explicit(&handoff->read, memory_order_relaxed);

	return &handoff->messages[(read + number) % HANDOFF_PLACES];
}

const struct handoff_message *handoff_peek(const struct handoff *handoff)
{
	return handoff_count(handoff) == 0 ? NULL : handoff_look(handoff, 0);
}

void handoff_done(struct handoff *handoff)
{
	atomic_store(
		&handoff->read, atomic_load_explicit(&handoff->read, memory_order_relaxed) + 1);
}
