/* The file of --tokens: who may come with a token of its own. */
#pragma once

#include <stddef.h>

#include "ipc/token_set.h"

struct command;

enum {
	TOKEN_NAME_MAX = 64, /* characters of a name */
	TOKEN_OPTION_SHOWN = 80, /* of an option, so that there is room for what is wrong with it */
};

/*
 * Reads one line: NAME SHA256[,SHA256-OF-THE-ONE-BEFORE] [max-peers=N] [expires=DATE], with blanks
 * between. Changes the text. Returns NULL, or what is wrong, for people; *option is the option that
 * it is about, in the text, or "": what else there is may be a secret that stands in a wrong place.
 */
const char *token_line_parse(char *line, struct token *token, const char **option);

/*
 * Reads the file. Empty lines, and lines that begin with #, say nothing. Writes what is wrong like
 * usage_error(), with the line, and warns of a file that others can read. Returns 0 or -EINVAL.
 */
int token_file_load(const struct command *command, const char *path, struct token_set **set);
