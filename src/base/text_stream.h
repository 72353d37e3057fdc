/* A text that is written as to a file, in memory. */
#pragma once

#include <stdio.h>

/*
 * Closes what open_memstream(3) has opened on *text, which is left in it. Returns the text, the
 * caller's to free, or NULL: there was no memory for all of it, and it was freed.
 */
char *text_stream_close(FILE *out, char **text);
