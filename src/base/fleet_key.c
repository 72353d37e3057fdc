/* Reads and writes the file of a fleet's key. Runs in the store's process, in the broker, which
 * checks it at its start, and in `vprox fleet-key`. */
#include "base/fleet_key.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>
#include <openssl/sha.h>

#include "base/file.h"

enum {
	MAX_FILE_SIZE = 256, /* two keys, newlines, and what an editor may have added */
	FILE_MODE = 0600,
};

uint32_t fleet_key_id(const struct key *key)
{
	static const char label[] = "vprox fleet key";
	unsigned char text[sizeof label + KEY_SIZE], hash[SHA256_DIGEST_LENGTH] = {0};

	memcpy(text, label, sizeof label);
	memcpy(text + sizeof label, key->bytes, KEY_SIZE);
	SHA256(text, sizeof text, hash);
	explicit_bzero(text, sizeof text);
	return (uint32_t)hash[0] << 24 | (uint32_t)hash[1] << 16 | (uint32_t)hash[2] << 8 | hash[3];
}

void fleet_keys_wipe(struct fleet_keys *keys)
{
	explicit_bzero(keys, sizeof *keys);
}

static int parse(char *text, struct fleet_keys *keys)
{
	static const char blanks[] = " \t\r\n";
	char *rest = NULL;

	keys->n = 0;
	for (char *word = strtok_r(text, blanks, &rest); word; word = strtok_r(NULL, blanks, &rest))
		if (keys->n == FLEET_KEYS_MAX ||
			key_parse(word, strlen(word), &keys->keys[keys->n++]) < 0)
			return -EINVAL;
	return keys->n > 0 ? 0 : -EINVAL;
}

int fleet_keys_load(const char *path, struct fleet_keys *keys)
{
	char *text = NULL;
	size_t length;
	int error = file_read(path, MAX_FILE_SIZE, &text, &length);

	if (error == 0) {
		error = parse(text, keys);
		explicit_bzero(text, length);
	}
	free(text);
	return error == -EFBIG ? -EINVAL : error;
}

int fleet_key_generate(struct key *key)
{
	return RAND_priv_bytes(key->bytes, sizeof key->bytes) == 1 ? 0 : -EIO;
}

struct file_text {
	char s[FLEET_KEYS_MAX * KEY_TEXT_SIZE]; /* without a NUL */
	size_t n;
};

/* To be wiped. */
static void write_text(const struct fleet_keys *keys, struct file_text *text)
{
	for (size_t i = 0; i < keys->n; i++) {
		struct key_text line = key_text(&keys->keys[i]);

		line.s[KEY_TEXT_SIZE - 1] = '\n';
		memcpy(text->s + i * KEY_TEXT_SIZE, line.s, KEY_TEXT_SIZE);
		explicit_bzero(&line, sizeof line);
	}
	text->n = keys->n * KEY_TEXT_SIZE;
}

int fleet_keys_create(const char *path, const struct fleet_keys *keys)
{
	struct file_text text;
	int error;

	write_text(keys, &text);
	error = file_create(path, FILE_MODE, text.s, text.n);
	explicit_bzero(&text, sizeof text);
	return error;
}

int fleet_keys_replace(const char *path, const struct fleet_keys *keys)
{
	char new[PATH_MAX];
	const struct file_beside beside = {.path = new, .is_synced = true};
	struct file_text text;
	int error;

	if (snprintf(new, sizeof new, "%s.new", path) >= (int)sizeof new)
		return -ENAMETOOLONG;
	write_text(keys, &text);
	error = file_replace(path, &beside, FILE_MODE, text.s, text.n);
	explicit_bzero(&text, sizeof text);
	return error;
}
