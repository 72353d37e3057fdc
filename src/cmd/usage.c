/* Prints the text of --help, from a command's table of options and in lines that a terminal
 * holds, and the one line for a wrong command line. Runs in the process that the user has started.
 */
#include "cmd/usage.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/version.h"

enum {
	NAME_SIZE = 128,
	FAULT_SIZE = 512,
	NAMES_COLUMN = 2,
	LETTER_WIDTH = 4, /* "-f, " */
	GAP = 2, /* between a name and its text, at least */
	LAST_COLUMN = 31, /* that texts begin at; longer names have a line of their own */
	SYNOPSIS_COLUMN = 7, /* below what follows "Usage: " */
};

const struct command_option usage_help = {
	.name = "help",
	.letter = 'h',
	.help = "print this",
};
const struct command_option usage_version = {
	.name = "version",
	.help = "print the version",
};

/* Prints words from the column on, the cursor standing at `at`, and an end of line. */
static void fill(const char *text, size_t at, size_t column, FILE *out)
{
	bool is_first = true;

	for (text += strspn(text, " "); *text; text += strspn(text, " ")) {
		size_t length = strcspn(text, " ");

		if (!is_first && at + 1 + length > USAGE_WIDTH) {
			fputc('\n', out);
			at = 0;
			is_first = true;
		}
		if (is_first && at < column) {
			fprintf(out, "%*s", (int)(column - at), "");
			at = column;
		} else if (!is_first) {
			fputc(' ', out);
			at++;
		}
		fprintf(out, "%.*s", (int)length, text);
		at += length;
		text += length;
		is_first = false;
	}
	fputc('\n', out);
}

/* Paragraphs end with an empty line; inside, a line ends where it is full. */
static void print_paragraphs(const char *text, FILE *out)
{
	auto_free char *copy = strdup(text);
	char *rest = copy;

	while (rest) {
		const char *line = strsep(&rest, "\n");

		fill(line, 0, 0, out);
	}
}

void usage_print_entry(const char *name, const char *text, size_t column, FILE *out)
{
	size_t at = (size_t)fprintf(out, "%*s%s", NAMES_COLUMN, "", name);

	if (at + GAP > column) {
		fputc('\n', out);
		at = 0;
	}
	fill(text, at, column, out);
}

/* "-f, --foreground", "    --idle-timeout TIME", "    --watch[=TIME]". */
static const char *name_of(const struct command_option *option, char text[NAME_SIZE])
{
	const char *argument = option->argument ? option->argument : "";
	const char *before = !option->argument ? "" : option->implied ? "[=" : " ";
	char letter[LETTER_WIDTH + 1] = "";

	if (option->letter)
		snprintf(letter, sizeof letter, "-%c, ", option->letter);
	snprintf(text, NAME_SIZE, "%-*s--%s%s%s%s", LETTER_WIDTH, letter, option->name, before,
		argument, option->implied ? "]" : "");
	return text;
}

static void print_option(const struct command_option *option, size_t column, FILE *out)
{
	const char *value = option->initial ? option->initial : option->otherwise;
	char name[NAME_SIZE], text[1024];

	snprintf(text, sizeof text, "%s%s%s%s%s", option->help,
		option->is_repeatable ? "; may be repeated" : "", value ? " (default: " : "",
		value ? value : "", value ? ")" : "");
	usage_print_entry(name_of(option, name), text, column, out);
}

/* Where the texts of a command's options begin. */
static size_t column_of(const struct command *command)
{
	size_t column = 0;
	char name[NAME_SIZE];

	for (const struct command_option *option = command->options; option->name; option++) {
		size_t end = NAMES_COLUMN + strlen(name_of(option, name)) + GAP;

		if (end > column && end <= LAST_COLUMN)
			column = end;
	}
	return column ? column : NAMES_COLUMN + strlen(name_of(&usage_version, name)) + GAP;
}

void usage_print(const struct command *command, FILE *out)
{
	size_t column = column_of(command);
	bool has_groups = false;

	fill(command->synopsis, (size_t)fprintf(out, "Usage: "), SYNOPSIS_COLUMN, out);
	fputc('\n', out);
	print_paragraphs(command->description, out);
	for (const struct command_option *option = command->options; option->name; option++) {
		if (option->group)
			fprintf(out, "\n%s:\n", option->group);
		else if (option == command->options)
			fputc('\n', out);
		has_groups = has_groups || option->group;
		print_option(option, column, out);
	}
	if (has_groups || !command->options->name)
		fputc('\n', out);
	print_option(&usage_help, column, out);
	print_option(&usage_version, column, out);
	if (command->closing) {
		fputc('\n', out);
		print_paragraphs(command->closing, out);
	}
}

void usage_print_version(void)
{
	printf("vprox %s (%s)\n", version_number, version_git_commit);
}

static int print_error(const struct command *command, const struct option_use *use,
	const char *format, va_list args)
{
	char fault[FAULT_SIZE];

	vsnprintf(fault, sizeof fault, format, args);
	if (!command)
		fprintf(stderr, "vprox: %s (see `vprox --help`)\n", fault);
	else if (use && use->text)
		log_error("%s--%s %s: %s (see `vprox %s --help`)", use->place, use->option->name,
			*use->text ? use->text : "\"\"", fault, command->name);
	else if (use)
		log_error("%s--%s: %s (see `vprox %s --help`)", use->place, use->option->name,
			fault, command->name);
	else
		log_error("%s (see `vprox %s --help`)", fault, command->name);
	return -EINVAL;
}

int usage_error(const struct command *command, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_error(command, NULL, format, args);
	va_end(args);
	return -EINVAL;
}

int option_error(const struct option_use *use, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_error(use->command, use, format, args);
	va_end(args);
	return -EINVAL;
}
