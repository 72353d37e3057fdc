/* Checks, sends and receives the messages between broker and store. Runs in both. */
#include "ipc/storing.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "ipc/packet.h"

static int check_version(const void *packet, size_t length)
{
	uint32_t version;

	if (length < sizeof version)
		return -EPROTO;
	memcpy(&version, packet, sizeof version);
	return version == STORING_VERSION ? 0 : -EPROTONOSUPPORT;
}

static bool ends(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

static bool is_etcd(const struct store_etcd *etcd)
{
	return ends(etcd->members, sizeof etcd->members) && ends(etcd->fleet, sizeof etcd->fleet) &&
	       ends(etcd->user, sizeof etcd->user) &&
	       ends(etcd->fleet_key, sizeof etcd->fleet_key) && ends(etcd->ca, sizeof etcd->ca) &&
	       ends(etcd->certificate, sizeof etcd->certificate) &&
	       ends(etcd->key, sizeof etcd->key) && ends(etcd->password, sizeof etcd->password);
}

static bool are_blocks(const struct store_config *config)
{
	if (config->n_blocks > STORE_MOST_BLOCKS)
		return false;
	for (uint32_t i = 0; i < config->n_blocks; i++)
		if (config->blocks[i].length > 32)
			return false;
	return true;
}

int storing_decode_config(const void *packet, size_t length, struct store_config *config)
{
	int error = check_version(packet, length);

	if (error < 0)
		return error;
	if (length != sizeof *config)
		return -EPROTO;
	memcpy(config, packet, sizeof *config);
	if (config->task >= STORE_TASK_END || config->folder[0] != '/' ||
		!ends(config->folder, sizeof config->folder) || !is_etcd(&config->etcd) ||
		config->n_served > STORE_MOST_SERVED || !are_blocks(config))
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
	       (peer->kind == STORED_WIREGUARD) == !key_is_zero(&peer->key) &&
	       client_name_is_valid(&peer->name);
}

static bool is_sound(const struct storing_message *message)
{
	switch ((enum storing_operation)message->operation) {
	case STORING_PUT_ENDPOINT:
	case STORING_ENDPOINT:
	case STORING_COLLIDES:
		return is_endpoint(&message->endpoint);
	case STORING_PUT_PEER:
	case STORING_PEER:
		return is_peer(&message->peer);
	case STORING_FREE_ADDRESS:
	case STORING_FREED:
		return message->peer.bind.value != 0 && message->peer.inner.value != 0;
	case STORING_FREE_ALL:
	case STORING_FORGET:
	case STORING_CLAIM:
	case STORING_CLAIM_REST:
	case STORING_CLAIM_IF_LEFT:
	case STORING_RELEASE:
	case STORING_CLAIMED:
	case STORING_FOLLOW_ALL:
	case STORING_FOLLOW_CHANGES:
	case STORING_FOLLOWED:
	case STORING_CLAIMED_LATE:
		return message->peer.bind.value != 0;
	case STORING_SUPERSEDED:
		return message->endpoint.bind.value != 0;
	case STORING_LOADED:
	case STORING_DURABLE:
	case STORING_LOST:
		return true;
	case STORING_STATE:
		return message->state.n_need_second_key <= message->state.n_addresses &&
		       message->state.reserved == 0;
	case STORING_OPERATION_END:
		break;
	}
	return false;
}

static bool is_order(uint32_t operation)
{
	return operation >= STORING_PUT_ENDPOINT && operation <= STORING_RELEASE;
}

static int decode(const void *packet, size_t length, bool order, struct storing_message *message)
{
	int error = check_version(packet, length);

	if (error < 0)
		return error;
	if (length != sizeof *message)
		return -EPROTO;
	memcpy(message, packet, sizeof *message);
	if (is_order(message->operation) != order || message->more_come > order ||
		message->reserved != 0 || !ends(message->host, sizeof message->host) ||
		!is_sound(message))
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

int storing_send_config(int fd, const struct store_config *config)
{
	return packet_send(fd, config, sizeof *config);
}

int storing_receive_config(int fd, struct store_config *config)
{
	unsigned char buffer[sizeof *config + 1];
	int n = packet_receive(fd, buffer, sizeof buffer);

	return n < 0 ? n : storing_decode_config(buffer, (size_t)n, config);
}

int storing_send_version(int fd)
{
	const uint32_t version = STORING_VERSION;

	return packet_send(fd, &version, sizeof version);
}

int storing_send(int fd, const struct storing_message *message)
{
	return packet_send(fd, message, sizeof *message);
}

static int receive(int fd, bool order, struct storing_message *message)
{
	unsigned char buffer[sizeof *message + 1];
	int n = packet_receive(fd, buffer, sizeof buffer);

	return n < 0 ? n : decode(buffer, (size_t)n, order, message);
}

int storing_receive_order(int fd, struct storing_message *message)
{
	return receive(fd, true, message);
}

int storing_receive_report(int fd, struct storing_message *message)
{
	return receive(fd, false, message);
}
