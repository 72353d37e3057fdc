/* The name that somebody may have meant. */
#pragma once

#include <stddef.h>

/*
 * The name that is most like the word, be it misspelt ("conect") or only a part ("block" of
 * "wg-block"). NULL if none is like it. Pass only names of less than NEAREST_LONGEST characters.
 */
const char *nearest_name(const char *word, const char *const *names, size_t n);

enum {
	NEAREST_LONGEST = 48,
};
