/* A text that grows, for what may hold private keys: no copy of it stays behind. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct secret_text {
	char *s; /* NULL, or with a NUL behind what is used */
	size_t used, size;
	bool failed; /* there was no memory: something is missing */
};

/* Zeroed, it is empty. */

/* Room for so many bytes more behind what is used, and a NUL. Returns 0 or -ENOMEM. */
int secret_text_reserve(struct secret_text *text, size_t n);
/* Sets failed if there is no memory. */
void secret_text_append(struct secret_text *text, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Overwrites and frees it; it is empty then. */
void secret_text_wipe(struct secret_text *text);
