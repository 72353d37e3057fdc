/* What a command writes about its use: the text of --help, and what is wrong with a command line.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "cmd/command.h"

enum {
	USAGE_WIDTH = 80, /* columns of a terminal; no line of --help is longer */
};

/* Every command has these two. Their .parse is NULL. */
extern const struct command_option usage_help, usage_version;

void usage_print(const struct command *command, FILE *out);

/* A line such as "  name      text", the text broken into lines that begin at the column. */
void usage_print_entry(const char *name, const char *text, size_t column, FILE *out);

/* "vprox 0.2.0 (commit)", to standard output. */
void usage_print_version(void);

/*
 * Writes in one line to the log, which is standard error and plain before the command runs, what is
 * wrong with the command line, and where the help is. The command is NULL where there is none.
 * Always -EINVAL.
 */
__attribute__((format(printf, 2, 3))) int usage_error(
	const struct command *command, const char *format, ...);

/* The same of an option's value: "--name value: " stands before it. */
__attribute__((format(printf, 2, 3))) int option_error(
	const struct option_use *use, const char *format, ...);
