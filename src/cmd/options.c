/* The engine behind every command: reads a command line by the command's table with getopt_long(3),
 * answers --help and --version, and runs the command. Runs in the process that the user has
 * started. */
#include "cmd/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "cmd/nearest.h"
#include "cmd/option_terms.h"
#include "cmd/option_words.h"
#include "cmd/usage.h"

enum {
	FIRST_LONG = 256, /* what getopt_long() returns for option 0 of all; letters are below it */
	MAX_OPTIONS = 64,
	GOES_ON = -1, /* no exit status yet */
};

/* The command's options and those that all have, in the forms that getopt_long() wants. */
struct all_options {
	const struct command_option *options[MAX_OPTIONS];
	const char *names[MAX_OPTIONS];
	struct option long_options[MAX_OPTIONS + 1];
	char letters[2 * MAX_OPTIONS + 2];
	int n;
};

static void add_option(struct all_options *all, const struct command_option *option)
{
	size_t used = strlen(all->letters);

	if (all->n == MAX_OPTIONS)
		abort(); /* the table is longer than it was ever meant to be */
	if (option->letter)
		snprintf(all->letters + used, sizeof all->letters - used, "%c%s", option->letter,
			option->argument ? ":" : "");
	all->long_options[all->n] = (struct option){
		.name = option->name,
		.has_arg = !option->argument ? no_argument
			   : option->implied ? optional_argument
					     : required_argument,
		.val = FIRST_LONG + all->n,
	};
	all->names[all->n] = option->name;
	all->options[all->n++] = option;
}

static void collect(const struct command *command, struct all_options *all)
{
	/* A colon has getopt_long() tell a missing value from an unknown option. */
	*all = (struct all_options){.letters = ":"};
	for (const struct command_option *option = command->options; option->name; option++)
		add_option(all, option);
	add_option(all, &usage_help);
	add_option(all, &usage_version);
}

/* Of what getopt_long() has returned, or left in optopt. NULL: there is none. */
static const struct command_option *find_option(const struct all_options *all, int found)
{
	if (found >= FIRST_LONG)
		return all->options[found - FIRST_LONG];
	for (int i = 0; i < all->n; i++)
		if (found != 0 && all->options[i]->letter == found)
			return all->options[i];
	return NULL;
}

static int unknown_option(const struct command *command, const struct all_options *all,
	const struct option_words *words, const char *word)
{
	const struct word_place place = option_words_place(words, word);
	auto_free char *name = strndup(word, strcspn(word, "="));
	const char *meant =
		name ? nearest_name(name + strspn(name, "-"), all->names, (size_t)all->n) : NULL;
	size_t n_fitting = 0;

	for (int i = 0; name && strncmp(name, "--", 2) == 0 && i < all->n; i++)
		n_fitting += strncmp(all->names[i], name + 2, strlen(name + 2)) == 0;
	if (n_fitting > 1)
		return usage_error(command, "%s%s: several options begin like this", place.s, name);
	if (meant)
		return usage_error(
			command, "%s%s: no such option; did you mean --%s?", place.s, name, meant);
	return usage_error(command, "%s%s: no such option", place.s, name ? name : word);
}

/* The word that an unknown letter stands in: the whole of "-ip", where "-i" is what is unknown. */
static const char *word_with(char letter, int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (argv[i][0] == '-' && argv[i][1] != '-' && strchr(argv[i], letter))
			return argv[i];
	return "-";
}

/* What getopt_long() has returned ':' or '?' for. */
static int write_fault(const struct command *command, const struct all_options *all,
	const struct option_words *words, int found)
{
	const struct command_option *option = find_option(all, optopt);
	char **argv = words->words;
	const struct word_place place = option_words_place(words, argv[optind - 1]);

	if (found == ':')
		return usage_error(command, "%s--%s needs a value, %s", place.s, option->name,
			option->argument);
	if (option)
		return usage_error(command, "%s%s: --%s takes no value", place.s, argv[optind - 1],
			option->name);
	return unknown_option(command, all, words,
		optopt ? word_with((char)optopt, words->n, argv) : argv[optind - 1]);
}

/* text: NULL where the value is left out, or there is none. */
static int parse_value(const struct command *command, const struct command_option *option,
	struct option_words *words, const char *text, void *configuration)
{
	const struct word_place place = option_words_place(words, text);
	const struct option_use use = {
		command, option, text ? text : option->implied, place.s, words};

	return option->parse(&use, (char *)configuration + option->offset);
}

/* Returns 1 if there is one, 0 if not, or as the option's parser. */
static int parse_variable(const struct command *command, const struct command_option *option,
	struct option_words *words, void *configuration)
{
	const char *text = option->variable ? getenv(option->variable) : NULL;
	struct word_place place;
	const struct option_use use = {command, option, text, place.s, words};
	int error;

	if (!text || *text == '\0')
		return 0;
	snprintf(place.s, sizeof place.s, "%s: ", option->variable);
	error = option->parse(&use, (char *)configuration + option->offset);
	return error < 0 ? error : 1;
}

static int parse_initial_values(
	const struct command *command, struct option_words *words, void *configuration)
{
	int result = 0;

	for (const struct command_option *option = command->options; result >= 0 && option->name;
		option++) {
		result = parse_variable(command, option, words, configuration);
		if (result == 0 && option->initial)
			result =
				parse_value(command, option, words, option->initial, configuration);
	}
	return result < 0 ? result : 0;
}

/* Returns GOES_ON or an exit status. */
static int parse_options(
	const struct command *command, struct option_words *words, void *configuration)
{
	struct all_options all;
	int found;

	collect(command, &all);
	optind = 0; /* from the start, also if it was used before: getopt(3) */
	opterr = 0;
	while ((found = getopt_long(words->n, words->words, all.letters, all.long_options, NULL)) !=
		-1) {
		const struct command_option *option = find_option(&all, found);

		if (option == &usage_help) {
			usage_print(command, stdout);
			return STATUS_OK;
		}
		if (option == &usage_version) {
			usage_print_version();
			return STATUS_OK;
		}
		if (!option) {
			write_fault(command, &all, words, found);
			return STATUS_USAGE;
		}
		if (parse_value(command, option, words, optarg, configuration) < 0)
			return STATUS_USAGE;
		if (option_words_give(words, option->name, optarg) < 0)
			return STATUS_FAILED;
	}
	return GOES_ON;
}

static bool is_choice(const char *choices, const char *word)
{
	size_t length = strlen(word);

	for (const char *at = choices; at; at = strchr(at, '|')) {
		at += *at == '|';
		if (length > 0 && strncmp(at, word, length) == 0 &&
			(at[length] == '|' || at[length] == '\0'))
			return true;
	}
	return false;
}

/* What is left when the options are taken away: one, or none. */
static int check_operands(const struct command *command, int n, char **operands)
{
	if (!command->operand)
		return n == 0 ? 0 : usage_error(command, "%s: unexpected argument", operands[0]);
	if (n == 0 && command->is_operand_optional)
		return 0;
	if (n == 0)
		return usage_error(command, "%s is missing", command->operand);
	if (n == 1 && command->words)
		return usage_error(command, "%s is missing behind %s, %s", command->words,
			command->operand, operands[0]);
	if (n > 1 && command->choices)
		return usage_error(
			command, "%s: unexpected argument behind %s", operands[1], operands[0]);
	if (n > 1 && !command->words)
		return usage_error(command, "%s: there is one %s, %s", operands[1],
			command->operand, operands[0]);
	if (command->choices && !is_choice(command->choices, operands[0]))
		return usage_error(command, "%s: must be %s", operands[0], command->choices);
	return 0;
}

/* What is to be seen when all is read. */
static int check_all(const struct command *command, const struct option_words *words)
{
	char **operands = words->words + optind;
	int error = check_operands(command, words->n - optind, operands);

	return error < 0 ? error : option_terms_check(command, words, operands[0]);
}

static void keep_words(
	const struct command *command, struct option_words *words, void *configuration)
{
	if (command->options_words_offset > 0)
		*(struct option_words **)(void *)((char *)configuration +
						  command->options_words_offset) = words;
}

int options_parse(const struct command *command, struct option_words *words, void *configuration)
{
	int error = parse_initial_values(command, words, configuration);

	keep_words(command, words, configuration);
	if (error == 0 && parse_options(command, words, configuration) != GOES_ON)
		error = -EINVAL;
	return error < 0 ? error : check_all(command, words);
}

static int parse_and_run(
	const struct command *command, struct option_words *words, void *configuration)
{
	int status;

	keep_words(command, words, configuration);
	if (parse_initial_values(command, words, configuration) < 0)
		return STATUS_USAGE;
	status = parse_options(command, words, configuration);
	if (status != GOES_ON)
		return status;
	if (check_all(command, words) < 0)
		return STATUS_USAGE;
	if (command->words)
		*(char ***)(void *)((char *)configuration + command->words_offset) =
			words->words + optind + 1;
	return command->run(configuration, words->words[optind]);
}

/* Only a command that has such an option has a file. */
static bool has_config_file(const struct command *command)
{
	for (const struct command_option *option = command->options; option->name; option++)
		if (strcmp(option->name, "config") == 0)
			return true;
	return false;
}

int command_main(const struct command *command, int argc, char **argv)
{
	auto_free void *configuration = calloc(1, command->configuration_size + 1);
	struct option_words words = {0};
	int status;

	log_find_journal();
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_PLAIN, command->name);
	if (!configuration) {
		log_error("%s", strerror(ENOMEM));
		return STATUS_FAILED;
	}
	if (option_words_read(argc, argv, has_config_file(command), &words) < 0)
		status = STATUS_USAGE;
	else
		status = parse_and_run(command, &words, configuration);
	option_words_free(&words);
	return status;
}

void options_print_for_completion(const struct command *command)
{
	struct all_options all;

	collect(command, &all);
	for (int i = 0; i < all.n; i++) {
		const struct command_option *option = all.options[i];
		const char *value = option->argument ? option->argument : "";
		const char *opening = option->implied ? "[" : "", *closing = *opening ? "]" : "";

		if (option->letter)
			printf("-%c\t%s%s%s\n", option->letter, opening, value, closing);
		printf("--%s\t%s%s%s\n", option->name, opening, value, closing);
	}
	for (const char *at = command->choices; at && *at; at += *at == '|') {
		printf("%.*s\t\n", (int)strcspn(at, "|"), at);
		at += strcspn(at, "|");
	}
}
