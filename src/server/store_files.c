/* The folder of the store and the files in it. Runs in the broker, at its start, and in `vprox
 * clean`. */
#include "server/store_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "ipc/storing.h"
#include "server/key_pair.h"

enum {
	PARENT_MODE = 0700,
	FOLDER_MODE = 0770, /* root's, and the store's by its group */
	FILE_MODE = 0660, /* of one that somebody else has made */
};

/* What belongs to the file goes first: without it, it is nothing. */
static const char *const files[] = {"store.db-wal", "store.db-shm", "store.db"};
static const char set_aside[] = "store.db.damaged-";

/* The folder */

/* A file belongs to the group of who makes it, and its owner may give it to its own group: so no
 * right is needed to give it to the store. */
static int make_for_group(gid_t group)
{
	const gid_t own = getegid();
	int error;

	if (setegid(group) < 0)
		return -errno;
	error = mkdir(STORE_FOLDER, FOLDER_MODE) < 0 ? -errno : 0;
	if (error == -EEXIST && chown(STORE_FOLDER, (uid_t)-1, group) < 0)
		error = -errno;
	if (setegid(own) < 0)
		return -errno;
	/* The mask may have taken something away. */
	return error == 0 && chmod(STORE_FOLDER, FOLDER_MODE) < 0 ? -errno : error;
}

static int make_folder(gid_t group)
{
	struct stat folder;
	int error = file_make_folder(KEY_PAIR_FOLDER, PARENT_MODE);

	if (error < 0)
		return error;
	if (lstat(STORE_FOLDER, &folder) < 0)
		return errno == ENOENT ? make_for_group(group) : -errno;
	if (!S_ISDIR(folder.st_mode))
		return -ENOTDIR;
	/* Its user may be another now than at the start before. */
	if (folder.st_gid != group) {
		error = make_for_group(group);
		if (error < 0 && error != -EEXIST)
			return error;
	}
	/* Who made it may have died before the mode was set. */
	if ((folder.st_mode & 0777) != FOLDER_MODE && chmod(STORE_FOLDER, FOLDER_MODE) < 0)
		return -errno;
	return 0;
}

/* Its files */

static bool is_the_stores(const struct stat *file, uid_t user, gid_t group)
{
	return file->st_uid == user ||
	       (file->st_gid == group && (file->st_mode & FILE_MODE) == FILE_MODE);
}

/* As its owner. What is there under the name may not be what it was: it is looked at once more. */
static int open_up(int folder, const char *name, gid_t group)
{
	auto_close int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat file;

	if (fd < 0 || fstat(fd, &file) < 0)
		return -errno;
	if (!S_ISREG(file.st_mode) || file.st_nlink != 1 || file.st_uid != geteuid())
		return -EINVAL;
	return fchown(fd, (uid_t)-1, group) < 0 || fchmod(fd, FILE_MODE) < 0 ? -errno : 0;
}

/* Its owner of before may give it to the group, without the right to give files away. */
static int open_up_as_owner(int folder, const char *name, uid_t owner, gid_t group)
{
	const uid_t own_user = geteuid();
	const gid_t own_group = getegid();
	int error;

	if (setegid(group) < 0)
		return -errno;
	error = seteuid(owner) < 0 ? -errno : open_up(folder, name, group);
	if (seteuid(own_user) < 0 || setegid(own_group) < 0)
		return -errno;
	return error;
}

static int give(int folder, const char *name, uid_t user, gid_t group)
{
	struct stat file;
	int error;

	if (fstatat(folder, name, &file, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (is_the_stores(&file, user, group))
		return 0;
	error = open_up_as_owner(folder, name, file.st_uid, group);
	if (error == 0)
		log_info("%s/%s is user %u's, and was opened for the store, which is user %u now",
			STORE_FOLDER, name, file.st_uid, user);
	else
		log_error("%s/%s is user %u's, and cannot be opened for the store, which is user "
			  "%u now; `chown -R %u:%u %s/*` does it, then start the server again",
			STORE_FOLDER, name, file.st_uid, user, user, group, STORE_FOLDER);
	return error;
}

int store_files_prepare(uid_t user, gid_t group)
{
	int error = make_folder(group);
	auto_close int folder = -1;

	if (error < 0)
		return error;
	folder = open(STORE_FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (folder < 0)
		return -errno;
	for (size_t i = 0; i < sizeof files / sizeof *files && error == 0; i++)
		error = give(folder, files[i], user, group);
	return error;
}

/* Clearing */

/* Returns whether it is there, or -errno, which is logged. */
static int clear_file(int folder, const char *name, bool dry_run)
{
	int result = dry_run ? faccessat(folder, name, F_OK, AT_SYMLINK_NOFOLLOW)
			     : unlinkat(folder, name, 0);

	if (result == 0)
		return 1;
	if (errno == ENOENT)
		return 0;
	result = -errno;
	log_error("cannot remove %s/%s: %s", STORE_FOLDER, name, strerror(-result));
	return result;
}

static int clear_current(int folder, bool dry_run)
{
	int n_found = 0;

	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		int result = clear_file(folder, files[i], dry_run);

		if (result < 0)
			return result;
		n_found += result;
	}
	if (n_found > 0)
		log_info("%s " STORE_FOLDER "/store.db, with what was promised to clients",
			dry_run ? "would remove" : "removed");
	return n_found > 0;
}

/* They may hold a private key. */
static int clear_set_aside(int folder, DIR *entries, bool dry_run)
{
	const struct dirent *entry;
	int n_found = 0;

	while ((entry = readdir(entries))) {
		int result;

		if (strncmp(entry->d_name, set_aside, sizeof set_aside - 1) != 0)
			continue;
		result = clear_file(folder, entry->d_name, dry_run);
		if (result < 0)
			return result;
		log_info("%s " STORE_FOLDER "/%s, which was damaged and set aside",
			dry_run ? "would remove" : "removed", entry->d_name);
		n_found += result;
	}
	return n_found;
}

int store_files_clear(bool dry_run)
{
	DIR *entries = opendir(STORE_FOLDER);
	int n_current, n_set_aside;

	if (!entries)
		return errno == ENOENT ? 0 : -errno;
	n_current = clear_current(dirfd(entries), dry_run);
	n_set_aside = clear_set_aside(dirfd(entries), entries, dry_run);
	closedir(entries);
	return n_current < 0 ? n_current : n_set_aside < 0 ? n_set_aside : n_current + n_set_aside;
}
