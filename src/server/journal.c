/* Sends entries to the journal. Runs in the broker, for the audit. */
#include "server/journal.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/unix_address.h"

static const char path[] = "/run/systemd/journal/socket";

enum { PARTS = 5 }; /* of a field: name, newline, length, value, newline */

int journal_open(void)
{
	struct sockaddr_un address;
	int error = unix_address(path, &address);
	int fd = error < 0 ? error : socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
		error = -errno;
		close(fd);
		return error;
	}
	return fd < 0 && error == 0 ? -errno : fd;
}

static struct iovec part(const void *data, size_t length)
{
	return (struct iovec){(void *)data, length};
}

/* With its length before it a value can be anything. */
int journal_send(int fd, const struct journal_field *fields, size_t n)
{
	struct iovec parts[JOURNAL_MAX_FIELDS * PARTS];
	uint64_t lengths[JOURNAL_MAX_FIELDS];
	struct msghdr message = {.msg_iov = parts};

	for (size_t i = 0; i < n && i < JOURNAL_MAX_FIELDS; i++) {
		const struct journal_field *field = &fields[i];
		struct iovec *next = &parts[message.msg_iovlen];
		size_t length = field->value ? strlen(field->value) : 0;

		if (length == 0)
			continue;
		lengths[i] = htole64(length);
		next[0] = part(field->name, strlen(field->name));
		next[1] = part("\n", 1);
		next[2] = part(&lengths[i], sizeof lengths[i]);
		next[3] = part(field->value, length);
		next[4] = part("\n", 1);
		message.msg_iovlen += PARTS;
	}
	return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}
