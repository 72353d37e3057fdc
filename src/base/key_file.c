/* Loads a private key, or makes it. Runs in the processes that own keys: the broker and the client.
 */
#include "base/key_file.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"

enum {
	MAX_FILE_SIZE = 128, /* a key, a newline, and what an editor may have added */
	FILE_MODE = 0600,
	FOLDER_MODE = 0700,
};

int key_file_load(const char *path, struct key *key)
{
	char *text = NULL;
	size_t length;
	int error = file_read(path, MAX_FILE_SIZE, &text, &length);

	if (error == 0) {
		error = key_parse(text, length, key);
		explicit_bzero(text, length);
	}
	free(text);
	return error == -EFBIG ? -EINVAL : error;
}

static int create(const char *path, const struct key *given, struct key *key)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(path, '/');
	int error = 0;

	if (given)
		*key = *given;
	else
		error = key_generate_private(key);

	if (error == 0 && slash && slash > path) {
		size_t n = (size_t)(slash - path);

		if (n >= sizeof folder)
			return -ENAMETOOLONG;
		memcpy(folder, path, n);
		folder[n] = '\0';
		error = file_make_folder(folder, FOLDER_MODE);
	}
	if (error < 0)
		return error;

	struct key_text text = key_text(key);

	text.s[KEY_TEXT_SIZE - 1] = '\n';
	error = file_create(path, FILE_MODE, text.s, KEY_TEXT_SIZE);
	explicit_bzero(&text, sizeof text);
	return error;
}

int key_file_load_or_create(const char *path, const struct key *given, struct key *key)
{
	int error = key_file_load(path, key);

	if (error != -ENOENT)
		return error;
	error = create(path, given, key);
	return error == -EEXIST ? key_file_load(path, key) : error;
}
