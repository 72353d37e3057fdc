/* Puts the words of a configuration's file among those of the command line. Runs in the process
 * that the user has started. */
#include "cmd/option_words.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char option[] = "--config";

/* How many words name the file: two, one with an equals sign, or none. */
static int words_of_option(int argc, char **argv, int i, const char **path)
{
	const size_t length = strlen(option);

	if (strcmp(argv[i], option) == 0 && i + 1 < argc) {
		*path = argv[i + 1];
		return 2;
	}
	if (strncmp(argv[i], option, length) != 0 || argv[i][length] != '=')
		return 0;
	*path = argv[i] + length + 1;
	return 1;
}

static void put_all(struct option_words *words, char **from, int n)
{
	memcpy(words->words + words->n, from, (size_t)n * sizeof *from);
	words->n += n;
}

/* The option itself stays, for whoever wants to know. */
static void put_together(struct option_words *words, int end)
{
	put_all(words, words->argv, end);
	for (size_t i = 0; i < words->file.n; i++)
		words->words[words->n++] = words->file.words[i].text;
	put_all(words, words->argv + end, words->argc - end);
}

/* The first; another one is an error of who parses. */
static int find_file(const struct option_words *words, const char **path)
{
	for (int i = 1; i < words->argc && strcmp(words->argv[i], "--") != 0; i++) {
		int n = words_of_option(words->argc, words->argv, i, path);

		if (n > 0)
			return i + n;
	}
	return 0;
}

int option_words_read(int argc, char **argv, bool may_have_file, struct option_words *words)
{
	const char *path = NULL;
	int end = 0, error = 0;

	*words = (struct option_words){.argc = argc, .argv = argv};
	if (may_have_file)
		end = find_file(words, &path);
	if (end > 0)
		error = config_file_read(path, &words->file);
	if (error < 0)
		return error;
	words->words = calloc((size_t)argc + words->file.n + 1, sizeof *words->words);
	if (!words->words)
		return -ENOMEM;
	put_together(words, end);
	return 0;
}

void option_words_free(struct option_words *words)
{
	config_file_free(&words->file);
	free(words->words);
	free(words->given);
	*words = (struct option_words){0};
}

struct word_place option_words_place(const struct option_words *words, const char *word)
{
	const struct config_file *file = &words->file;
	struct word_place place = {""};

	for (size_t i = 0; word && i < file->n; i++) {
		const char *text = file->words[i].text;

		if (word >= text && word <= text + strlen(text))
			snprintf(place.s, sizeof place.s, "%s, line %u: ", file->path,
				file->words[i].line);
	}
	return place;
}

int option_words_give(struct option_words *words, const char *name, const char *text)
{
	struct option_given *grown =
		reallocarray(words->given, words->n_given + 1, sizeof *words->given);

	if (!grown)
		return -ENOMEM;
	words->given = grown;
	grown[words->n_given++] = (struct option_given){name, text};
	return 0;
}
