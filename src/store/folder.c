/* Where the store's files are, and what becomes of a damaged one. Runs in the store's process. */
#include "store/folder.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <sqlite3.h>

enum {
	PATH_SIZE = 256,
};

static int keep_name(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
	(void)vfs;
	return snprintf(out, (size_t)size, "%s", name) < size ? SQLITE_OK : SQLITE_CANTOPEN;
}

/* sqlite.org/vfs.html: a shim, which changes one method of the one below. */
int folder_use_working_directory(void)
{
	static sqlite3_vfs here;
	const sqlite3_vfs *system = sqlite3_vfs_find(NULL);

	if (!system)
		return -ENOSYS;
	here = *system;
	here.zName = "working-directory";
	here.pNext = NULL;
	here.xFullPathname = keep_name;
	return sqlite3_vfs_register(&here, 1) == SQLITE_OK ? 0 : -ENOSYS;
}

struct folder_name folder_name_aside(const char *name)
{
	char text[sizeof "20260101T000000Z"];
	time_t now = time(NULL);
	struct folder_name aside;
	struct tm utc;

	strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", gmtime_r(&now, &utc));
	snprintf(aside.s, sizeof aside.s, "%s.damaged-%s", name, text);
	return aside;
}

static int set_aside(const char *name, const struct folder_name *aside, const char *suffix)
{
	char from[PATH_SIZE], to[PATH_SIZE];

	snprintf(from, sizeof from, "%s%s", name, suffix);
	snprintf(to, sizeof to, "%s%s", aside->s, suffix);
	return rename(from, to) < 0 && errno != ENOENT ? -errno : 0;
}

int folder_set_aside(const char *name, const struct folder_name *aside)
{
	/* The name that sqlite3(1) looks for beside a file is that with the suffix at its end. */
	int error = set_aside(name, aside, "-wal");

	if (error == 0)
		error = set_aside(name, aside, "-shm");
	return error == 0 ? set_aside(name, aside, "") : error;
}
