/* Checks, sends and receives the messages between the broker and `vprox cloud`. Runs in both. */
#include "ipc/cloud.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "ipc/packet.h"

static bool is_text(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

/* A packet of this size exactly. */
static int receive(int fd, void *message, size_t size)
{
	auto_free char *buffer = malloc(size + 1);
	int n = buffer ? packet_receive(fd, buffer, size + 1) : -ENOMEM;

	if (n >= 0 && (size_t)n == size)
		memcpy(message, buffer, size);
	if (buffer)
		explicit_bzero(buffer, size + 1);
	return n < 0 ? n : (size_t)n == size ? 0 : -EPROTO;
}

int cloud_send_config(int fd, const struct cloud_config *config)
{
	return packet_send(fd, config, sizeof *config);
}

int cloud_receive_config(int fd, struct cloud_config *config)
{
	int error = receive(fd, config, sizeof *config);

	if (error < 0)
		return error;
	return config->version == CLOUD_VERSION && config->task > 0 &&
			       config->task < CLOUD_TASK_END &&
			       is_text(config->backend.host, sizeof config->backend.host) &&
			       is_text(config->backend.path, sizeof config->backend.path) &&
			       is_text(config->region, sizeof config->region) &&
			       is_text(config->authorities, sizeof config->authorities)
		       ? 0
		       : -EPROTO;
}

int cloud_send_secret(int fd, const struct cloud_secret *secret)
{
	return packet_send(fd, secret, sizeof *secret);
}

int cloud_receive_secret(int fd, struct cloud_secret *secret)
{
	int error = receive(fd, secret, sizeof *secret);

	if (error < 0)
		return error;
	return secret->version == CLOUD_VERSION && is_text(secret->token, sizeof secret->token)
		       ? 0
		       : -EPROTO;
}

int cloud_send_list(int fd, const struct cloud_list *list)
{
	return packet_send(fd, list, sizeof *list);
}

int cloud_receive_list(int fd, struct cloud_list *list)
{
	int error = receive(fd, list, sizeof *list);

	if (error < 0)
		return error;
	return list->version == CLOUD_VERSION && list->n <= CLOUD_MAX_ADDRESSES ? 0 : -EPROTO;
}
