/* The journal's own protocol: fields that journalctl(1) can choose by.
 * systemd.io/JOURNAL_NATIVE_PROTOCOL */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { JOURNAL_MAX_FIELDS = 20 };

/* NAME of capital letters, digits and underscores; the value is bytes. */
struct journal_field {
	const char *name;
	const char *value; /* NULL or "": the field is left out */
};

/* Returns a socket to the journal (close-on-exec, non-blocking), or -errno. */
int journal_open(void);

/* Sends an entry of n fields, JOURNAL_MAX_FIELDS at the most. Never waits. Returns 0 or -errno. */
int journal_send(int fd, const struct journal_field *fields, size_t n);
