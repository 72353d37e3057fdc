/* Reads a command line by a command's table of options, and runs the command. */
#pragma once

#include "cmd/command.h"

struct option_words;

/* argv[0] is the command's name. Returns the exit status: of --help, --version and a wrong command
 * line, or the command's own. */
int command_main(const struct command *command, int argc, char **argv);

/* Parses all words over the initial values, into a configuration that must be all zero. Writes what
 * is wrong like usage_error(). Returns 0, or -errno. */
int options_parse(const struct command *command, struct option_words *words, void *configuration);

/*
 * Prints what a shell needs to complete the command's options, a line each: the option, a tab, and
 * what its value is called: nothing if it has none, in brackets if it may be left out. "-f\t",
 * "--plane\tauto|kernel|embedded", "--watch\t[TIME]".
 */
void options_print_for_completion(const struct command *command);
