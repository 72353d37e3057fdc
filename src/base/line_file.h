/* A file that one process appends lines to, and that may be moved away meanwhile, as logrotate(8)
 * does. No room in it is no reason to stop: what is lost is counted, and said once. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct line_file {
	int fd; /* -1: none */
	const char *what; /* for the log: "the audit". Kept by reference */
	bool is_failing, is_torn;
	uint64_t lost; /* lines, since it began to fail */
	uint64_t lost_in_all;
};

/*
 * Opens it to append to, and makes it, of this mode, if it is not there. It must be a regular file,
 * a FIFO that somebody reads or a character device; the last part of the path is no symbolic link.
 * Returns a descriptor (close-on-exec; a write does not wait for a reader), or -errno; -EINVAL: it
 * is something else.
 */
int line_file_open(const char *path, mode_t mode);
/* What such an error is, for the log. */
const char *line_file_error(int error);

/* A process that died in the middle of a line has left its beginning there: ends it, so that it is
 * not the next one's. While nobody else writes. */
void line_file_mend(int fd);

/* Writes to this descriptor, which is the file's now, from here on. */
void line_file_use(struct line_file *file, int fd);
/* Closes it. */
void line_file_close(struct line_file *file);

/* So many lines were written, or, where error is an errno and not 0, are lost. Logs when that
 * begins and ends. Done by line_file_write(); to be called where the lines go elsewhere. */
void line_file_account(struct line_file *file, size_t n_lines, int error);

/* Appends n_lines whole lines. What has no room is lost, a line of which a part had room too; logs
 * when that begins and ends. */
void line_file_write(struct line_file *file, const char *lines, size_t length, size_t n_lines);
