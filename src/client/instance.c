/* The client's files in /run/vprox. Runs in the client, before its event loop. */
#include "client/instance.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/key_file.h"
#include "base/lock.h"
#include "base/log.h"
#include "plane/client_link.h"

enum {
	PATH_SIZE = 64,
	LOCK_TRIES = 10,
	LOCK_PAUSE_MS = 50,
};

int instance_lock_if_free(const char *interface)
{
	char path[PATH_SIZE];
	int lock;

	snprintf(path, sizeof path, "%s/" INSTANCE_LOCK_PREFIX "%s", RUN_FOLDER, interface);
	lock = lock_take(path);
	if (lock < 0 && lock != -EWOULDBLOCK)
		lock_log_failure(path, lock);
	return lock;
}

int instance_lock(const char *interface)
{
	int lock;

	/* A process that a killed client was about to start holds on to it a moment longer. */
	for (int i = 0; (lock = instance_lock_if_free(interface)) == -EWOULDBLOCK && i < LOCK_TRIES;
		i++)
		usleep(LOCK_PAUSE_MS * 1000);
	if (lock == -EWOULDBLOCK)
		log_error("another vprox client runs for %s: give another name with --interface",
			interface);
	return lock;
}

int instance_lock_any(const char *prefix, unsigned int n, char name[INSTANCE_NAME_SIZE])
{
	char path[PATH_SIZE];
	int lock = -EWOULDBLOCK;

	for (unsigned int i = 0; i < n && lock == -EWOULDBLOCK; i++) {
		snprintf(name, INSTANCE_NAME_SIZE, "%s%u", prefix, i);
		snprintf(path, sizeof path, "%s/client-lock-%s", RUN_FOLDER, name);
		lock = lock_take(path);
	}
	if (lock < 0 && lock != -EWOULDBLOCK)
		lock_log_failure(path, lock);
	return lock;
}

bool instance_is_locked(const char *interface)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof path, "%s/client-lock-%s", RUN_FOLDER, interface);
	return lock_is_taken(path);
}

int instance_load_key(const char *interface, struct key *private_key, struct key *public_key)
{
	char path[PATH_SIZE];
	int error;

	snprintf(path, sizeof path, CLIENT_KEY_PREFIX "%s", interface);
	error = key_file_load_or_create(path, NULL, private_key);
	if (error == 0)
		error = key_derive_public(private_key, public_key);
	if (error < 0)
		log_error("cannot use the WireGuard key %s: %s", path,
			error == -EINVAL ? "it is no key; remove it to have a new one made"
					 : strerror(-error));
	return error;
}

int instance_load_id(const char *interface, struct key *id)
{
	char path[PATH_SIZE];
	int error;

	snprintf(path, sizeof path, "%s/client-id-%s", RUN_FOLDER, interface);
	error = key_file_load_or_create(path, NULL, id);
	if (error < 0)
		log_error("cannot use the client's id %s: %s", path,
			error == -EINVAL ? "it is none; remove it to have a new one made"
					 : strerror(-error));
	return error;
}
