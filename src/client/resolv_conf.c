/* The files /etc/resolv.conf and its predecessor. Runs in the client, in its
 * request process, and in `vprox clean`. */
#include "client/resolv_conf.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/lock.h"
#include "client/instance.h"

#define BEFORE RESOLV_CONF ".before-vprox"
#define NEW RESOLV_CONF ".vprox-new"
/* Whom systemd-resolved itself asks: systemd-resolved.service(8), /etc/resolv.conf. */
#define RESOLVED_UPSTREAM "/run/systemd/resolve/resolv.conf"
#define KEY "nameserver"
#define FIRST_LINE "# By vprox connect, interface "

enum {
	FILE_MAX = 64 * 1024,
	FILE_MODE = 0644,
	OWNER_LENGTH = IF_NAMESIZE - 1,
	LOCK_TRIES = 20,
	LOCK_PAUSE_MS = 50,
};

static const struct ipv4 resolved_stub = {0x7f000035}; /* 127.0.0.53: likewise */

/* Whose it is. Returns whether it is a client's of ours. */
static bool read_owner(char owner[IF_NAMESIZE])
{
	auto_free char *text = NULL;
	size_t length, n;

	if (file_read(RESOLV_CONF, FILE_MAX, &text, &length) < 0 ||
		strncmp(text, FIRST_LINE, strlen(FIRST_LINE)) != 0)
		return false;
	n = strcspn(text + strlen(FIRST_LINE), " \n");
	if (n == 0 || n > OWNER_LENGTH)
		return false;
	memcpy(owner, text + strlen(FIRST_LINE), n);
	owner[n] = '\0';
	return true;
}

static unsigned int read_addresses(char *text, struct ipv4 addresses[RESOLVERS_MAX])
{
	char *rest = NULL;
	unsigned int n = 0;

	for (char *line = strtok_r(text, "\n", &rest); line && n < RESOLVERS_MAX;
		line = strtok_r(NULL, "\n", &rest)) {
		if (strncmp(line, KEY, strlen(KEY)) != 0)
			continue;
		line += strlen(KEY);
		line += strspn(line, " \t");
		line[strcspn(line, " \t\r")] = '\0';
		if (ipv4_parse(line, &addresses[n]) == 0)
			n++;
	}
	return n;
}

static unsigned int read_servers(const char *path, struct ipv4 addresses[RESOLVERS_MAX])
{
	auto_free char *text = NULL;
	size_t length;

	return file_read(path, FILE_MAX, &text, &length) < 0 ? 0 : read_addresses(text, addresses);
}

unsigned int resolv_conf_read(struct ipv4 addresses[RESOLVERS_MAX])
{
	return read_servers(RESOLV_CONF, addresses);
}

static bool names_resolved(const char *path)
{
	struct ipv4 addresses[RESOLVERS_MAX];
	unsigned int n = read_servers(path, addresses);

	for (unsigned int i = 0; i < n; i++)
		if (ipv4_equal(addresses[i], resolved_stub))
			return true;
	return false;
}

bool resolv_conf_asks_resolved(void)
{
	return names_resolved(RESOLV_CONF);
}

const char *resolv_conf_upstream(void)
{
	char owner[IF_NAMESIZE];
	const char *own = read_owner(owner) ? BEFORE : RESOLV_CONF;

	return names_resolved(own) && access(RESOLVED_UPSTREAM, R_OK) == 0 ? RESOLVED_UPSTREAM
									   : own;
}

bool resolv_conf_has_server(const char *path)
{
	auto_free char *text = NULL;
	size_t length;

	return file_read(path, FILE_MAX, &text, &length) == 0 &&
	       (strncmp(text, KEY, strlen(KEY)) == 0 || strstr(text, "\n" KEY));
}

/* All but the name servers, and comments. */
static void copy_settings(FILE *out)
{
	auto_free char *text = NULL;
	size_t length;
	char *rest = NULL;

	if (file_read(RESOLV_CONF, FILE_MAX, &text, &length) < 0)
		return;
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		if (strncmp(line, "search", 6) == 0 || strncmp(line, "domain", 6) == 0 ||
			strncmp(line, "options", 7) == 0)
			fprintf(out, "%s\n", line);
}

static int put_new(const char *interface, const struct resolvers *resolvers)
{
	static const struct file_beside beside = {.path = NEW, .is_synced = true};
	auto_free char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		return -ENOMEM;
	fprintf(out, FIRST_LINE "%s (the one before is " BEFORE ")\n", interface);
	for (uint32_t i = 0; i < resolvers->n; i++)
		fprintf(out, "nameserver %s\n", ipv4_text(resolvers->addresses[i]).s);
	copy_settings(out);
	return fclose(out) != 0 ? -ENOMEM
				: file_replace(RESOLV_CONF, &beside, FILE_MODE, text, length);
}

/* A second name of whatever is there, a symbolic link among it. */
static int save_before(void)
{
	if (unlink(BEFORE) < 0 && errno != ENOENT)
		return -errno;
	if (link(RESOLV_CONF, BEFORE) < 0 && errno != ENOENT)
		/* a mount of its own, as in containers: it cannot be renamed over either */
		return errno == EXDEV ? -EBUSY : -errno;
	return 0;
}

/* Between two clients, no step of one may come between two of the other. Returns the lock, to be
 * closed, or -errno. */
static int lock_others_out(void)
{
	static const char path[] = RUN_FOLDER "/resolv-conf-lock";
	int lock;

	for (int i = 0; (lock = lock_take(path)) == -EWOULDBLOCK && i < LOCK_TRIES; i++)
		usleep(LOCK_PAUSE_MS * 1000);
	if (lock < 0 && lock != -EWOULDBLOCK)
		lock_log_failure(path, lock);
	return lock;
}

bool resolv_conf_is_put(const char *interface)
{
	char owner[IF_NAMESIZE];

	return read_owner(owner) && strcmp(owner, interface) == 0;
}

int resolv_conf_put(const char *interface, const struct resolvers *resolvers)
{
	auto_close int lock = lock_others_out();
	char owner[IF_NAMESIZE];
	bool is_ours = read_owner(owner);
	int error;

	if (lock < 0)
		return lock;
	if (is_ours && strcmp(owner, interface) != 0)
		return -EBUSY;
	error = is_ours ? 0 : save_before();
	if (error == 0)
		error = put_new(interface, resolvers);
	if (error < 0 && !is_ours)
		unlink(BEFORE);
	return error;
}

static int put_back(void)
{
	if (rename(BEFORE, RESOLV_CONF) == 0)
		return 1;
	/* there was none */
	if (errno == ENOENT && unlink(RESOLV_CONF) == 0)
		return 1;
	return -errno;
}

int resolv_conf_take_back(const char *interface, bool dry_run)
{
	auto_close int lock = lock_others_out();
	char owner[IF_NAMESIZE];

	if (lock < 0)
		return lock;
	if (!read_owner(owner)) {
		if (!dry_run)
			unlink(BEFORE); /* of a client that was killed before it had put its own */
		return 0;
	}
	if ((!interface || strcmp(owner, interface) != 0) && instance_is_locked(owner))
		return 0;
	return dry_run ? 1 : put_back();
}
