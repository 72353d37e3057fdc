/*
 * Reads the filter table of iptables-legacy as the kernel has it (getsockopt, linux/netfilter_ipv4/
 * ip_tables.h) and hashes it. The broker, every 5 s.
 */
#include "host/legacy_digest.h"

#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <openssl/sha.h>

#include "base/cleanup.h"

static const char table_name[] = "filter";

static int get(int fd, int option, void *value, socklen_t size)
{
	return getsockopt(fd, IPPROTO_IP, option, value, &size) < 0 ? -errno : 0;
}

/* What counts packets is cleared, and what the kernel uses for itself. */
static int clear_counters(char *entries, size_t size)
{
	size_t at = 0;

	while (at + sizeof(struct ipt_entry) <= size) {
		struct ipt_entry entry;

		memcpy(&entry, entries + at, sizeof entry);
		if (entry.next_offset < sizeof entry || entry.next_offset > size - at)
			return -EBADMSG;
		memset(&entry.counters, 0, sizeof entry.counters);
		entry.comefrom = 0;
		memcpy(entries + at, &entry, sizeof entry);
		at += entry.next_offset;
	}
	return 0;
}

static int read_entries(int fd, const struct ipt_getinfo *info, uint8_t *digest)
{
	size_t size = sizeof(struct ipt_get_entries) + info->size;
	auto_free struct ipt_get_entries *entries = calloc(1, size);
	int error;

	if (!entries)
		return -ENOMEM;
	memcpy(entries->name, table_name, sizeof table_name);
	entries->size = info->size;
	error = get(fd, IPT_SO_GET_ENTRIES, entries, (socklen_t)size);
	if (error == 0)
		error = clear_counters((char *)entries->entrytable, info->size);
	if (error == 0)
		SHA256((const unsigned char *)entries, size, digest);
	return error;
}

int legacy_digest(uint8_t digest[LEGACY_DIGEST_SIZE])
{
	struct ipt_getinfo info = {0};
	auto_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int error;

	if (fd < 0)
		return -errno;
	memcpy(info.name, table_name, sizeof table_name);
	error = get(fd, IPT_SO_GET_INFO, &info, sizeof info);
	return error < 0 ? error : read_entries(fd, &info, digest);
}
