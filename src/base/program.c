/* Finds the programs that this one starts, and says what of its environment they get. Runs in the
 * broker and in `vprox check`. */
#include "base/program.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Beside this one. */
static int find_beside(const char *name, char *path, size_t size)
{
	char own[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", own, sizeof own - 1);
	const char *end = NULL;
	int length;

	if (n > 0) {
		own[n] = '\0';
		end = strrchr(own, '/');
	}
	if (!end)
		return -ENOENT;
	length = snprintf(path, size, "%.*s/%s", (int)(end - own), own, name);
	if (length < 0 || (size_t)length >= size)
		return -ENAMETOOLONG;
	return access(path, X_OK) < 0 ? -errno : 0;
}

int program_find(const char *name, char path[PATH_MAX])
{
	if (find_beside(name, path, PATH_MAX) == 0)
		return 0;
	snprintf(path, PATH_MAX, "%s/%s", LIBEXEC_FOLDER, name);
	return access(path, X_OK) < 0 ? -errno : 0;
}

void program_pick_environment(char *environment[PROGRAM_ENVIRONMENT_SIZE])
{
	static const char *const picked[PROGRAM_ENVIRONMENT_SIZE - 1] = {
		"OPENSSL_CONF=", "OPENSSL_MODULES=", "LD_LIBRARY_PATH=", "ASAN_OPTIONS=",
		"UBSAN_OPTIONS=", "LSAN_OPTIONS=", "JOURNAL_STREAM="};
	size_t n = 0;

	for (char **variable = environ; *variable; variable++)
		for (size_t i = 0; i < PROGRAM_ENVIRONMENT_SIZE - 1; i++)
			if (n < PROGRAM_ENVIRONMENT_SIZE - 1 &&
				strncmp(*variable, picked[i], strlen(picked[i])) == 0)
				environment[n++] = *variable;
	environment[n] = NULL;
}
