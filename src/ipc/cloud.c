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

/* A packet of one of these sizes exactly, the second one being the larger. Returns its size. */
static int receive_either(int fd, void *message, size_t smaller, size_t size)
{
	auto_free char *buffer = malloc(size + 1);
	int n = buffer ? packet_receive(fd, buffer, size + 1) : -ENOMEM;
	const bool is_known = n >= 0 && ((size_t)n == smaller || (size_t)n == size);

	if (is_known)
		memcpy(message, buffer, (size_t)n);
	if (buffer)
		explicit_bzero(buffer, size + 1);
	return n < 0 || is_known ? n : -EPROTO;
}

static int receive(int fd, void *message, size_t size)
{
	int n = receive_either(fd, message, size, size);

	return n < 0 ? n : 0;
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

static int check_list(const struct cloud_list *list)
{
	return list->version == CLOUD_VERSION && list->n <= CLOUD_MAX_ADDRESSES ? 0 : -EPROTO;
}

int cloud_receive_list(int fd, struct cloud_list *list)
{
	int error = receive(fd, list, sizeof *list);

	return error < 0 ? error : check_list(list);
}

int cloud_send_ready(int fd)
{
	const struct cloud_ready ready = {.version = CLOUD_VERSION};

	return packet_send(fd, &ready, sizeof ready);
}

int cloud_receive_ready(int fd)
{
	struct cloud_ready ready;
	int error = receive(fd, &ready, sizeof ready);

	return error < 0 ? error : ready.version == CLOUD_VERSION ? 0 : -EPROTO;
}

/* Both begin with the version. */
int cloud_receive_told(int fd, struct cloud_list *list)
{
	int n = receive_either(fd, list, sizeof(struct cloud_ready), sizeof *list);

	if (n < 0 || (size_t)n == sizeof *list)
		return n < 0 ? n : check_list(list);
	return list->version == CLOUD_VERSION ? 1 : -EPROTO;
}
