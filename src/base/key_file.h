/* A WireGuard private key in a file: base64, mode 0600. */
#pragma once

#include <stdbool.h>

#include "base/key.h"

/* Reads the key. Returns 0, -ENOENT, -EINVAL if the file's content is no key, or the errno of what
 * failed. */
int key_file_load(const char *path, struct key *key);

/*
 * Reads the key; if there is no file, makes it with the key that is given, or a new one if `given`
 * is NULL, and its folder with mode 0700. Of two processes that do so at once both get the same
 * key. Returns 0, -EINVAL if the file's content is no key, or the errno of what failed.
 */
int key_file_load_or_create(const char *path, const struct key *given, struct key *key);
