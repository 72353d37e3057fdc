/* Makes, sends and knows echoes. Runs in the client's one thread, and in `vprox check`. */
#include "client/echo.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/icmp.h>

#include "base/checksum.h"

enum { IPV4_LONGEST_HEADER = 60 };

/* RFC 792. What follows, if anything does, is zero. */
struct echo_message {
	uint8_t type, code;
	uint16_t checksum;
	uint16_t id, sequence;
	uint8_t token[ECHO_TOKEN_SIZE];
};

int echo_open(int given, const char *interface, uint32_t mark)
{
	struct icmp_filter filter = {~(1u << ICMP_ECHOREPLY)};
	int fd = given >= 0 ? fcntl(given, F_DUPFD_CLOEXEC, 0)
			    : socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
	int error;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface,
		    (socklen_t)strlen(interface) + 1) == 0 &&
		setsockopt(fd, SOL_RAW, ICMP_FILTER, &filter, sizeof filter) == 0 &&
		(mark == 0 || setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) == 0))
		return fd;
	error = -errno;
	close(fd);
	return error;
}

void echo_renew(struct echo *echo)
{
	if (getrandom(echo->token, ECHO_TOKEN_SIZE, 0) < 0)
		memset(echo->token, 0, ECHO_TOKEN_SIZE);
}

void echo_send(int fd, const struct echo *echo, size_t size)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_addr.s_addr = ipv4_to_net(echo->gateway)};
	struct echo_message message = {.type = ICMP_ECHO, .sequence = htons(echo->sequence)};
	static const uint8_t zeros[ECHO_MOST];
	struct iovec parts[] = {
		{&message, sizeof message}, {(void *)(uintptr_t)zeros, size - ECHO_LEAST}};
	const struct msghdr packet = {
		.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = parts, .msg_iovlen = 2};

	memcpy(message.token, echo->token, ECHO_TOKEN_SIZE);
	/* zeros add nothing to the sum */
	message.checksum = checksum_field(&message, sizeof message);
	sendmsg(fd, &packet, MSG_DONTWAIT);
}

/* A raw socket hands over the IP header too. */
static bool is_answer(const struct echo *echo, const uint8_t *packet, size_t length)
{
	size_t header = length > 0 ? (packet[0] & 15u) * 4u : 0;
	struct echo_message message;
	struct iphdr ip;

	if (length < sizeof ip || header < sizeof ip || length < header + sizeof message)
		return false;
	memcpy(&ip, packet, sizeof ip);
	memcpy(&message, packet + header, sizeof message);
	return ip.saddr == ipv4_to_net(echo->gateway) && message.type == ICMP_ECHOREPLY &&
	       memcmp(message.token, echo->token, ECHO_TOKEN_SIZE) == 0;
}

int echo_receive(int fd, const struct echo *echo, size_t *length)
{
	uint8_t packet[IPV4_LONGEST_HEADER + sizeof(struct echo_message)];
	ssize_t n = recv(fd, packet, sizeof packet, MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0)
		return -errno;
	*length = (size_t)n;
	return is_answer(echo, packet, *length < sizeof packet ? *length : sizeof packet);
}
