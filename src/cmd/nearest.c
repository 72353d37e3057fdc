/* Finds the name that a misspelt word is nearest to, for the messages about a command or an option
 * that is unknown. Runs in the process that the user has started. */
#include "cmd/nearest.h"

#include <stdbool.h>
#include <string.h>

enum {
	SHORTEST_PART = 3, /* of a name; less is in many of them */
	LETTERS_PER_MISTAKE = 3,
};

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* How many letters have to be added, left out, replaced or swapped with the next one (the optimal
 * string alignment distance). */
static size_t distance(const char *a, const char *b)
{
	const size_t n = strlen(a), m = strlen(b);
	size_t d[NEAREST_LONGEST + 1][NEAREST_LONGEST + 1];

	for (size_t i = 0; i <= n; i++)
		d[i][0] = i;
	for (size_t j = 0; j <= m; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= n; i++)
		for (size_t j = 1; j <= m; j++) {
			d[i][j] = least(least(d[i - 1][j], d[i][j - 1]) + 1,
				d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
		}
	return d[n][m];
}

static bool is_part(const char *word, const char *name)
{
	return strlen(word) >= SHORTEST_PART && strstr(name, word);
}

const char *nearest_name(const char *word, const char *const *names, size_t n)
{
	const char *nearest = NULL;
	size_t shortest = strlen(word) / LETTERS_PER_MISTAKE + 1;

	if (strlen(word) >= NEAREST_LONGEST)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		size_t mistakes = is_part(word, names[i]) ? 1 : distance(word, names[i]);

		if (mistakes < shortest) {
			shortest = mistakes;
			nearest = names[i];
		}
	}
	return nearest;
}
