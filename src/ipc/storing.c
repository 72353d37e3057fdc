/* Checks, sends and receives the messages between broker and store. Runs in both. */
#include "ipc/storing.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

int storing_decode_config(const void *packet, size_t length, struct store_config *config)
{
	if (length != sizeof *config)
		return -EPROTO;
	memcpy(config, packet, sizeof *config);
	if (config->version != STORING_VERSION || config->folder[0] != '/' ||
		config->folder[sizeof config->folder - 1] != '\0')
		return -EPROTO;
	return 0;
}

static bool is_endpoint(const struct stored_endpoint *endpoint)
{
	return endpoint->bind.value != 0 && endpoint->length <= 32 && endpoint->port <= 65535 &&
	       endpoint->reserved == 0;
}

static bool is_peer(const struct stored_peer *peer)
{
	return peer->bind.value != 0 && peer->inner.value != 0 && peer->kind != 0 &&
	       peer->kind < STORED_KIND_END && peer->outer_port <= 65535 &&
	       (peer->kind == STORED_IPIP) == (peer->remote.value != 0) &&
	       (peer->kind == STORED_WIREGUARD) == !key_is_zero(&peer->key);
}

static bool is_sound(const struct storing_message *message)
{
	switch ((enum storing_operation)message->operation) {
	case STORING_PUT_ENDPOINT:
	case STORING_ENDPOINT:
		return is_endpoint(&message->endpoint);
	case STORING_PUT_PEER:
	case STORING_PEER:
		return is_peer(&message->peer);
	case STORING_FREE_ADDRESS:
	case STORING_FREED:
		return message->peer.bind.value != 0 && message->peer.inner.value != 0;
	case STORING_FREE_ALL:
		return message->peer.bind.value != 0;
	case STORING_LOADED:
	case STORING_DURABLE:
	case STORING_LOST:
		return true;
	case STORING_OPERATION_END:
		break;
	}
	return false;
}

static bool is_order(uint32_t operation)
{
	return operation >= STORING_PUT_ENDPOINT && operation <= STORING_FREE_ALL;
}

static int decode(const void *packet, size_t length, bool order, struct storing_message *message)
{
	if (length != sizeof *message)
		return -EPROTO;
	memcpy(message, packet, sizeof *message);
	if (message->version != STORING_VERSION || is_order(message->operation) != order ||
		message->peer.name[STORED_NAME_SIZE - 1] != '\0' || !is_sound(message))
		return -EPROTO;
	return 0;
}

int storing_decode_order(const void *packet, size_t length, struct storing_message *message)
{
	return decode(packet, length, true, message);
}

int storing_decode_report(const void *packet, size_t length, struct storing_message *message)
{
	return decode(packet, length, false, message);
}

static int send_packet(int fd, const void *packet, size_t length)
{
	return send(fd, packet, length, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* The buffer holds one byte more than the message, so that a longer packet is seen to be longer. */
static ssize_t receive_packet(int fd, void *buffer, size_t size)
{
	ssize_t n = recv(fd, buffer, size, MSG_DONTWAIT);

	if (n < 0)
		return -errno;
	return n == 0 ? -EPIPE : n;
}

int storing_send_config(int fd, const struct store_config *config)
{
	return send_packet(fd, config, sizeof *config);
}

int storing_receive_config(int fd, struct store_config *config)
{
	unsigned char buffer[sizeof *config + 1];
	ssize_t n = receive_packet(fd, buffer, sizeof buffer);

	return n < 0 ? (int)n : storing_decode_config(buffer, (size_t)n, config);
}

int storing_send(int fd, const struct storing_message *message)
{
	return send_packet(fd, message, sizeof *message);
}

int storing_receive_order(int fd, struct storing_message *message)
{
	unsigned char buffer[sizeof *message + 1];
	ssize_t n = receive_packet(fd, buffer, sizeof buffer);

	return n < 0 ? (int)n : storing_decode_order(buffer, (size_t)n, message);
}

int storing_receive_report(int fd, struct storing_message *message)
{
	unsigned char buffer[sizeof *message + 1];
	ssize_t n = receive_packet(fd, buffer, sizeof buffer);

	return n < 0 ? (int)n : storing_decode_report(buffer, (size_t)n, message);
}
