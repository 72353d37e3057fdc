/* Sends, receives and checks what an issuer's keys are fetched by. Runs in the broker and in the
 * processes that fetch. */
#include "ipc/issuer_fetch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "ipc/packet.h"

int issuer_fetch_send_config(int fd, const struct issuer_fetch_config *config)
{
	return packet_send(fd, config, sizeof *config);
}

int issuer_fetch_receive_config(int fd, struct issuer_fetch_config *config)
{
	unsigned char buffer[sizeof *config + 1];
	int n = packet_receive(fd, buffer, sizeof buffer);

	if (n < 0)
		return n;
	if (n != sizeof *config)
		return -EPROTO;
	memcpy(config, buffer, sizeof *config);
	return config->version == ISSUER_FETCH_VERSION && config->log_level <= LOG_LEVEL_DEBUG &&
			       config->log_format <= LOG_FORMAT_JSON &&
			       memchr(config->url, '\0', sizeof config->url)
		       ? 0
		       : -EPROTO;
}

int issuer_fetch_send_order(int fd)
{
	const struct issuer_fetch_order order = {ISSUER_FETCH_VERSION};

	return packet_send(fd, &order, sizeof order);
}

int issuer_fetch_receive_order(int fd)
{
	struct issuer_fetch_order order;
	unsigned char buffer[sizeof order + 1];
	int n = packet_receive(fd, buffer, sizeof buffer);

	if (n < 0)
		return n;
	if (n != sizeof order)
		return -EPROTO;
	memcpy(&order, buffer, sizeof order);
	return order.version == ISSUER_FETCH_VERSION ? 0 : -EPROTO;
}

int issuer_fetch_send(int fd, const struct issuer_fetched *fetched)
{
	return packet_send(fd, fetched, sizeof *fetched);
}

int issuer_fetch_receive(int fd, struct issuer_fetched *fetched)
{
	auto_free unsigned char *buffer = malloc(sizeof *fetched + 1);
	int n = buffer ? packet_receive(fd, buffer, sizeof *fetched + 1) : -ENOMEM;

	if (n < 0)
		return n;
	if (n != sizeof *fetched)
		return -EPROTO;
	memcpy(fetched, buffer, sizeof *fetched);
	return issuer_fetched_is_valid(fetched) ? 0 : -EPROTO;
}

static bool is_printable(const char *text, size_t size)
{
	size_t n = strnlen(text, size);

	for (size_t i = 0; i < n; i++)
		if (text[i] < ' ' || text[i] > '~')
			return false;
	return n < size;
}

bool issuer_fetched_is_valid(const struct issuer_fetched *fetched)
{
	if (fetched->version != ISSUER_FETCH_VERSION || fetched->n > ISSUER_KEYS_MAX ||
		!is_printable(fetched->fault, sizeof fetched->fault) ||
		(fetched->n == 0) != (fetched->fault[0] != '\0'))
		return false;
	for (uint32_t i = 0; i < fetched->n; i++)
		if (!issuer_key_is_valid(&fetched->keys[i]))
			return false;
	return true;
}
