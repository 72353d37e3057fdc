/* Small files, read and written whole. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Reads a file of at most max bytes into memory that the caller frees, with a NUL behind it.
 * Returns 0, -EFBIG, or the errno of what failed; -ENOENT if it is not there.
 */
int file_read(const char *path, size_t max, char **data, size_t *length);

/* Opens the file of an open descriptor anew, with these flags of open(2). Returns a descriptor or
 * -errno. */
int file_open_again(int fd, int flags);

/* Writes all of the data to an open file. Returns 0 or -errno. */
int file_write_all(int fd, const void *data, size_t length);

/*
 * Writes a file so that it is there whole or not at all, also after a crash: a temporary one beside
 * it, synced, then linked to its name. An existing file is left alone and gives -EEXIST: who came
 * first wins.
 */
int file_create(const char *path, mode_t mode, const void *data, size_t length);

/* Where the next content of a file is until it is whole. */
struct file_beside {
	const char *path; /* in the same folder */
	bool is_synced; /* it must be whole after a power cut too */
};

/*
 * Writes a file in place of the one that is there, if any: whoever reads it finds the one or the
 * other, whole, also where this process dies. What is beside it goes; so at a time there must be
 * one who writes it. A failure leaves the file as it was, and nothing beside it. Returns 0 or
 * -errno.
 */
int file_replace(const char *path, const struct file_beside *beside, mode_t mode, const void *data,
	size_t length);

/* Whether a file, which holds a secret, can be read or changed by others than its owner, or its
 * owner is neither root nor this process's user. False if that cannot be told. */
bool file_is_exposed(const char *path);

/* Warns of such a file in the log: in one way, whenever a secret is read. */
void file_warn_if_exposed(const char *path);

/* Standard input and output lead nowhere from here on: what may be taken over neither reads what is
 * typed on the terminal that its parent was started from, nor writes into a file of somebody's. As
 * far as /dev/null is to be had. */
void file_close_input_and_output(void);

/* Makes a folder and those above it. One that is there already keeps its mode. Returns 0 or -errno.
 */
int file_make_folder(const char *path, mode_t mode);
