/* The engine that reads a command line by a table of options. */
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/nearest.h"
#include "cmd/options.h"
#include "cmd/usage.h"
#include "cmd/values.h"

enum colour {
	COLOUR_RED,
	COLOUR_GREEN,
	COLOUR_BLUE,
	TEXT_SIZE = 8192,
	STATUS_RUN = 42, /* the command was run */
};

struct paint {
	enum colour colour;
	bool is_quick, is_verbose, has_ladder;
	unsigned int bell;
	unsigned int layers;
	uint64_t drying_ms, pause_ms;
	const char *brush, *label;
	size_t n_walls;
	const char *operand;
};

static struct paint painted; /* what the command was run with */

static int add_wall(const struct option_use *use, void *field)
{
	struct paint *paint = field;

	if (strcmp(use->text, "none") == 0)
		return option_error(use, "not a wall");
	paint->n_walls++;
	return 0;
}

static int run_paint(void *configuration, const char *operand)
{
	painted = *(const struct paint *)configuration;
	painted.operand = operand;
	return STATUS_RUN;
}

static const struct command_option options[] = {
	{
		.group = "What",
		.name = "colour",
		.argument = "red|green|blue",
		.initial = "green",
		.help = "the colour, about which a help text could say so very much that one line "
			"of a terminal does not hold it",
		OPTION_CHOICE(struct paint, colour),
	},
	{
		.name = "wall",
		.argument = "NAME",
		.is_repeatable = true,
		.help = "a wall",
		.parse = add_wall,
	},
	{
		.group = "How",
		.name = "quick",
		.letter = 'q',
		.help = "quickly",
		OPTION_FLAG(struct paint, is_quick),
	},
	{
		.name = "verbose",
		.letter = 'v',
		.help = "tell more",
		OPTION_FLAG(struct paint, is_verbose),
	},
	{
		.name = "layers",
		.letter = 'l',
		.argument = "N",
		.otherwise = "as many as it takes",
		.help = "how many layers",
		OPTION_COUNT(struct paint, layers),
		.min = 1,
		.max = 9,
	},
	{
		.name = "drying-time",
		.argument = "TIME",
		.initial = "2h",
		.help = "between layers",
		OPTION_TIME(struct paint, drying_ms),
		.min = 1000,
	},
	{
		.name = "pause",
		.argument = "TIME",
		.implied = "5m",
		.help = "rest for a moment",
		OPTION_TIME(struct paint, pause_ms),
	},
	{
		.name = "brush",
		.argument = "FILE",
		.help = "with what",
		OPTION_PATH(struct paint, brush),
	},
	{
		.name = "ladder",
		.help = "climb",
		.only_with = "--wall=high* --layers",
		.not_with = "--quick",
		OPTION_FLAG(struct paint, has_ladder),
	},
	{
		.name = "bell",
		.argument = "ring|knock|none",
		.help = "before",
		.variable = "PAINT_BELL",
		.only_with = "HOUSE --bell=none",
		OPTION_CHOICE(struct paint, bell),
	},
	{
		.name = "label",
		.argument = "TEXT",
		.help = "what to write on it",
		OPTION_TEXT(struct paint, label),
	},
	{0},
};

static const struct command paint = {
	.name = "paint",
	.summary = "paint a house",
	.synopsis = "vprox paint HOUSE [OPTION...]",
	.description =
		"Paints a house, of which there is so much to say that one line of a terminal "
		"does not hold it.\n\nTwice.",
	.options = options,
	.closing = "Let it dry.",
	.operand = "HOUSE",
	.configuration_size = sizeof(struct paint),
	.run = run_paint,
};

static const struct command without_operand = {
	.name = "plain",
	.synopsis = "vprox plain",
	.description = "Does it.",
	.options = options,
	.configuration_size = sizeof(struct paint),
	.run = run_paint,
};

/* What a run has written. */
struct said {
	char out[TEXT_SIZE], err[TEXT_SIZE];
};

/* Has a stream go to memory; returns where it went before. */
static int redirect(FILE *stream, int to)
{
	int before = dup(fileno(stream));

	assert_true(before >= 0);
	fflush(stream);
	assert_true(dup2(to, fileno(stream)) >= 0);
	return before;
}

static void restore(FILE *stream, int before, int from, char text[TEXT_SIZE])
{
	ssize_t n;

	fflush(stream);
	assert_true(dup2(before, fileno(stream)) >= 0);
	n = pread(from, text, TEXT_SIZE - 1, 0);
	assert_true(n >= 0);
	text[n] = '\0';
	close(before);
	close(from);
}

/* Runs the command with words that blanks are between. */
static int run_command(const struct command *command, struct said *said, const char *words)
{
	static char line[1024]; /* what was read points into it */
	int out = memfd_create("out", 0), err = memfd_create("err", 0), argc = 1, status;
	int before_out, before_err;
	char *argv[64] = {"paint"};

	snprintf(line, sizeof line, "%s", words);
	for (char *word = strtok(line, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	painted = (struct paint){0};
	before_out = redirect(stdout, out);
	before_err = redirect(stderr, err);
	status = command_main(command, argc, argv);
	restore(stderr, before_err, err, said->err);
	restore(stdout, before_out, out, said->out);
	return status;
}

static void assert_fault(const char *words, const char *message)
{
	struct said said;
	char expected[TEXT_SIZE];

	snprintf(
		expected, sizeof expected, "vprox paint: %s (see `vprox paint --help`)\n", message);
	assert_int_equal(run_command(&paint, &said, words), STATUS_USAGE);
	assert_string_equal(said.err, expected);
	assert_string_equal(said.out, "");
}

static void every_type_of_value_is_written_to_its_field(void **state)
{
	struct said said;

	(void)state;
	assert_int_equal(run_command(&paint, &said,
				 "--colour=blue -q --layers 3 --drying-time 90s --brush a/b "
				 "--label x --wall n --wall s house"),
		STATUS_RUN);
	assert_int_equal(painted.colour, COLOUR_BLUE);
	assert_true(painted.is_quick);
	assert_false(painted.is_verbose);
	assert_int_equal(painted.layers, 3);
	assert_int_equal(painted.drying_ms, 90000);
	assert_int_equal(painted.pause_ms, 0);
	assert_string_equal(painted.brush, "a/b");
	assert_string_equal(painted.label, "x");
	assert_int_equal(painted.n_walls, 2);
	assert_string_equal(painted.operand, "house");
	assert_string_equal(said.err, "");
}

static void what_is_not_given_has_the_value_that_the_help_names(void **state)
{
	struct said said;

	(void)state;
	assert_int_equal(run_command(&paint, &said, "house"), STATUS_RUN);
	assert_int_equal(painted.colour, COLOUR_GREEN);
	assert_int_equal(painted.drying_ms, 2 * 3600 * 1000);
	assert_int_equal(painted.layers, 0);
	assert_null(painted.brush);
	run_command(&paint, &said, "--help");
	assert_non_null(strstr(said.out, "(default: green)"));
	assert_non_null(strstr(said.out, "(default: 2h)"));
	assert_non_null(strstr(said.out, "(default: as many as it takes)"));
}

static void the_last_of_several_counts(void **state)
{
	struct said said;

	(void)state;
	assert_int_equal(
		run_command(&paint, &said, "--colour red house --colour=blue"), STATUS_RUN);
	assert_int_equal(painted.colour, COLOUR_BLUE);
}

static void letters_and_beginnings_stand_for_whole_names(void **state)
{
	struct said said;

	(void)state;
	assert_int_equal(run_command(&paint, &said, "-qvl4 --col red house"), STATUS_RUN);
	assert_true(painted.is_quick && painted.is_verbose);
	assert_int_equal(painted.layers, 4);
	assert_int_equal(painted.colour, COLOUR_RED);
}

static void a_value_that_may_be_left_out_has_one_of_its_own(void **state)
{
	struct said said;

	(void)state;
	assert_int_equal(run_command(&paint, &said, "--pause house"), STATUS_RUN);
	assert_int_equal(painted.pause_ms, 5 * 60 * 1000);
	assert_int_equal(run_command(&paint, &said, "--pause=7s house"), STATUS_RUN);
	assert_int_equal(painted.pause_ms, 7000);
}

static void what_is_wrong_is_told_in_a_line_with_option_and_value(void **state)
{
	(void)state;
	assert_fault("--colour pink house", "--colour pink: must be red, green or blue");
	assert_fault("--colour= house", "--colour \"\": must be red, green or blue");
	assert_fault("--colour re house", "--colour re: must be red, green or blue");
	assert_fault("--layers 10 house", "--layers 10: not a number from 1 to 9");
	assert_fault("-l0 house", "--layers 0: not a number from 1 to 9");
	assert_fault("--drying-time soon house",
		"--drying-time soon: not a time such as 90s, 5m or 500ms");
	assert_fault("--drying-time 1ms house", "--drying-time 1ms: must be 1000ms at least");
	assert_fault("--brush= house", "--brush \"\": not a file's path");
	assert_fault("--label= house", "--label \"\": must not be empty");
	assert_fault("--wall none house", "--wall none: not a wall");
}

static void a_value_too_few_or_too_many_is_told(void **state)
{
	(void)state;
	assert_fault("house --colour", "--colour needs a value, red|green|blue");
	assert_fault("house -l", "--layers needs a value, N");
	assert_fault("--quick=1 house", "--quick=1: --quick takes no value");
}

static void an_unknown_option_is_told_with_the_nearest_there_is(void **state)
{
	(void)state;
	assert_fault("house --color red", "--color: no such option; did you mean --colour?");
	assert_fault("house --layres=3", "--layres: no such option; did you mean --layers?");
	assert_fault("house --time 3s", "--time: no such option; did you mean --drying-time?");
	assert_fault("house -brush x", "-brush: no such option; did you mean --brush?");
	assert_fault("house --nonsense", "--nonsense: no such option");
	assert_fault("house -x", "-x: no such option");
	assert_fault("--ver house", "--ver: several options begin like this");
}

static void there_is_one_operand_or_none(void **state)
{
	struct said said;

	(void)state;
	assert_fault("", "HOUSE is missing");
	assert_fault("a b", "b: there is one HOUSE, a");
	assert_int_equal(run_command(&paint, &said, "-- --house"), STATUS_RUN);
	assert_string_equal(painted.operand, "--house");
	assert_int_equal(run_command(&without_operand, &said, "now"), STATUS_USAGE);
	assert_non_null(strstr(said.err, "vprox plain: now: unexpected argument"));
	assert_int_equal(run_command(&without_operand, &said, ""), STATUS_RUN);
	assert_null(painted.operand);
}

static void assert_terms(const struct command *command, const char *terms)
{
	char *copy = strdup(terms ? terms : ""), *rest = copy, *term;

	while ((term = strsep(&rest, " "))) {
		bool is_known =
			*term == '\0' || (command->operand && strcmp(term, command->operand) == 0);

		term[strcspn(term, "=")] = '\0';
		for (const struct command_option *option = command->options; option->name; option++)
			is_known = is_known || (strncmp(term, "--", 2) == 0 &&
						       strcmp(term + 2, option->name) == 0);
		if (!is_known)
			fail_msg("vprox %s: %s", command->name, term);
	}
	free(copy);
}

static void what_would_have_no_effect_is_refused_with_what_it_needs(void **state)
{
	static const char needs[] = "--ladder: has no effect without --wall=high... or --layers";
	struct said said;

	(void)state;
	assert_fault("house --ladder", needs);
	assert_fault("--ladder --wall low house", needs);
	assert_int_equal(run_command(&paint, &said, "--ladder --layers 2 house"), STATUS_RUN);
	assert_int_equal(
		run_command(&paint, &said, "--ladder house --wall highest --wall low"), STATUS_RUN);
	assert_true(painted.has_ladder);
	assert_int_equal(run_command(&without_operand, &said, "--bell=ring"), STATUS_USAGE);
	assert_non_null(strstr(said.err, "--bell ring: has no effect without HOUSE (see"));
	assert_int_equal(run_command(&without_operand, &said, "--bell=none"), STATUS_RUN);
	assert_int_equal(
		run_command(&without_operand, &said, "--bell=ring --bell=none"), STATUS_RUN);
	assert_int_equal(run_command(&paint, &said, "house --bell=ring"), STATUS_RUN);
}

static void what_contradicts_each_other_is_refused_in_any_order(void **state)
{
	static const char fault[] =
		"--ladder: does not go together with --quick: leave out one of them";

	(void)state;
	assert_fault("house --layers=1 --ladder -q", fault);
	assert_fault("-q --layers=1 --ladder house", fault);
}

static void a_variable_gives_what_the_command_line_does_not_and_is_as_if_not_given(void **state)
{
	struct said said;

	(void)state;
	setenv("PAINT_BELL", "knock", 1);
	assert_int_equal(run_command(&without_operand, &said, ""), STATUS_RUN);
	assert_int_equal(painted.bell, 1);
	assert_int_equal(run_command(&paint, &said, "--bell=none house"), STATUS_RUN);
	assert_int_equal(painted.bell, 2);
	setenv("PAINT_BELL", "", 1);
	assert_int_equal(run_command(&paint, &said, "house"), STATUS_RUN);
	assert_int_equal(painted.bell, 0);
	unsetenv("PAINT_BELL");
}

/* Of all commands that there are: a term that is none would end the program where it is judged. */
static void every_term_names_an_option_or_the_operand(void **state)
{
	static const struct command *const commands[] = {&command_check, &command_clean,
		&command_connect, &command_device, &command_disconnect, &command_disconnect_peer,
		&command_exec, &command_fleet, &command_fleet_key, &command_list, &command_server,
		&command_show, &command_status, &command_token};

	(void)state;
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		for (const struct command_option *option = commands[i]->options; option->name;
			option++) {
			assert_terms(commands[i], option->only_with);
			assert_terms(commands[i], option->not_with);
		}
}

static void help_fits_a_terminal_and_goes_to_standard_output(void **state)
{
	static const char *const forms[] = {"-h", "--help", "house -q --help"};
	struct said said;

	(void)state;
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		assert_int_equal(run_command(&paint, &said, forms[i]), STATUS_OK);
		assert_string_equal(said.err, "");
		for (const char *line = said.out; *line; line += strcspn(line, "\n") + 1)
			assert_true(strcspn(line, "\n") <= USAGE_WIDTH);
	}
	assert_non_null(strstr(said.out, "\nHow:\n  -q, --quick"));
	assert_non_null(strstr(said.out, "      --pause[=TIME] "));
	assert_non_null(strstr(said.out, "a wall; may be repeated\n"));
	assert_non_null(strstr(said.out, "  -h, --help "));
	assert_non_null(strstr(said.out, "\n\nLet it dry.\n"));
	assert_int_equal(run_command(&paint, &said, "--version"), STATUS_OK);
	assert_int_equal(strncmp(said.out, "vprox ", 6), 0);
}

static void the_nearest_name_is_a_likely_one_or_none(void **state)
{
	static const char *const names[] = {"server", "connect", "show", "wg-block"};
	static const struct {
		const char *word, *meant;
	} cases[] = {
		{"conect", "connect"},
		{"ocnnect", "connect"},
		{"sever", "server"},
		{"servers", "server"},
		{"conn", "connect"},
		{"block", "wg-block"},
		{"shwo", "show"},
		{"frobnicate", NULL},
		{"x", NULL},
		{"", NULL},
		{"a-word-that-is-longer-than-any-name-of-any-option-there-is", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *meant =
			nearest_name(cases[i].word, names, sizeof names / sizeof *names);

		if (cases[i].meant)
			assert_string_equal(meant ? meant : "none", cases[i].meant);
		else
			assert_null(meant);
	}
}

static void a_time_is_a_number_and_a_unit_seconds_by_default(void **state)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} good[] = {{"2", 2000}, {"2s", 2000}, {"500ms", 500}, {"5m", 300000}, {"1h", 3600000}};
	static const char *const bad[] = {
		"", "0", "0ms", "-1", "1.5s", "s", "5 m", "5mm", "99999h", "1000000000000000"};
	uint64_t ms;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		assert_int_equal(option_parse_duration(good[i].text, &ms), 0);
		assert_int_equal(ms, good[i].ms);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(option_parse_duration(bad[i], &ms), -EINVAL);
}

static void a_number_out_of_range_is_refused(void **state)
{
	static const char *const bad[] = {"", "0", "101", "-5", "+5", "5x", " 5", "99999999999"};
	unsigned int number;

	(void)state;
	assert_int_equal(option_parse_number("100", 1, 100, &number), 0);
	assert_int_equal(number, 100);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(option_parse_number(bad[i], 1, 100, &number), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_of_value_is_written_to_its_field),
		cmocka_unit_test(what_is_not_given_has_the_value_that_the_help_names),
		cmocka_unit_test(the_last_of_several_counts),
		cmocka_unit_test(letters_and_beginnings_stand_for_whole_names),
		cmocka_unit_test(a_value_that_may_be_left_out_has_one_of_its_own),
		cmocka_unit_test(what_is_wrong_is_told_in_a_line_with_option_and_value),
		cmocka_unit_test(a_value_too_few_or_too_many_is_told),
		cmocka_unit_test(an_unknown_option_is_told_with_the_nearest_there_is),
		cmocka_unit_test(there_is_one_operand_or_none),
		cmocka_unit_test(what_would_have_no_effect_is_refused_with_what_it_needs),
		cmocka_unit_test(what_contradicts_each_other_is_refused_in_any_order),
		cmocka_unit_test(
			a_variable_gives_what_the_command_line_does_not_and_is_as_if_not_given),
		cmocka_unit_test(every_term_names_an_option_or_the_operand),
		cmocka_unit_test(help_fits_a_terminal_and_goes_to_standard_output),
		cmocka_unit_test(the_nearest_name_is_a_likely_one_or_none),
		cmocka_unit_test(a_time_is_a_number_and_a_unit_seconds_by_default),
		cmocka_unit_test(a_number_out_of_range_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
