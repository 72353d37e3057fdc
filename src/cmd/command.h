/* A subcommand of vprox, as data: from its table of options come what the command line may hold,
 * what --help prints and what the shell completes. One file each, listed in main.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	STATUS_OK = 0,
	STATUS_FAILED = 1,
	STATUS_USAGE = 2, /* the command line is wrong */
};

struct option_use;
struct option_words;

/*
 * Checks an option's value and writes it to the field. Returns 0, or what option_error() returns
 * once it has written what is wrong with it.
 */
typedef int option_parser(const struct option_use *use, void *field);

/* A line of the table; one without a name ends it. --help and --version need none. */
struct command_option {
	const char *name; /* without its dashes */
	char letter; /* of the short form; 0: there is none */
	/* What --help calls its value: "TIME", or all there are, "auto|kernel". NULL: it has none.
	 */
	const char *argument;
	const char *implied; /* the value where it may be left out, as in "--watch[=TIME]" */
	const char
		*initial; /* the value when the option is not given; NULL: the field stays zero */
	const char *variable; /* of the environment, whose value comes before .initial; or NULL */
	const char *otherwise; /* in words, what happens then, where no value says it */
	bool is_repeatable;
	bool is_live; /* of the server: a change in --config's file is in force after SIGHUP */
	/*
	 * Without one of the first it has no effect; with none of the second it goes together, as
	 * it has none then, or they contradict each other. Blanks are between terms: "--name", if
	 * that is given; "--name=VALUE", if with this value (a pattern of fnmatch(3)), which may be
	 * one of its own; or the operand's name. NULL: it needs nothing, and goes with anything.
	 */
	const char *only_with, *not_with;
	const char *group; /* the heading that begins above it */
	const char *help;

	option_parser *parse;
	size_t offset; /* of its field in the command's configuration */
	uint64_t min, max; /* of numbers, and of times in ms */
};

/*
 * For a table: the field of a configuration that is written, and by what; does not compile if the
 * parser writes another type. See values.h.
 */
#define OPTION_FIELD(configuration, field, type, parser)                                           \
	.parse = _Generic(((configuration *)NULL)->field, type                                     \
			  : (parser)),                                                             \
	.offset = offsetof(configuration, field)

struct command {
	const char *name;
	const char *summary; /* a line for `vprox --help` */
	const char *synopsis;
	/* Paragraphs before and after the options; an empty line is between two. */
	const char *description, *closing;
	const struct command_option *options;
	const char *operand; /* what --help calls the one argument that is no option; NULL: none */
	bool is_operand_optional; /* NULL is passed where it is left out */
	const char *choices; /* all that it can be, as "one|other"; NULL: anything */
	/* What it calls the words that come after that one, at least one: a command with its
	 * arguments; NULL: there are none. */
	const char *words;
	/* Of a struct option_words * in the configuration that is set to all words of options and
	 * operands; 0: there is none. */
	size_t options_words_offset;
	size_t words_offset; /* of the char ** in the configuration that is set to them */
	size_t configuration_size;
	/* Does the work. The configuration was zeroed before the options were written to it.
	 * Returns the exit status. */
	int (*run)(void *configuration, const char *operand);
};

/* An option as it stands on the command line. */
struct option_use {
	const struct command *command;
	const struct command_option *option;
	const char *text; /* its value; NULL if it has none */
	const char *place; /* where it stands, for what is wrong with it; "": on the command line */
	struct option_words *words; /* among which it stands */
};

extern const struct command command_check;
extern const struct command command_clean;
extern const struct command command_connect;
extern const struct command command_device;
extern const struct command command_fleet;
extern const struct command command_exec;
extern const struct command command_fleet_key;
extern const struct command command_list;
extern const struct command command_server;
extern const struct command command_show;
extern const struct command command_disconnect;
extern const struct command command_disconnect_peer;
extern const struct command command_status;
extern const struct command command_token;
