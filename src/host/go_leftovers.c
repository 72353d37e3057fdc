/*
 * Removes the iptables rules of a Go vprox. Runs once at the start of the broker, and in `vprox
 * clean`.
 */
#include "host/go_leftovers.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "host/iptables.h"

static const char mark[] = "vprox ";

/* The comments of those that lead to an internal network, which have no mark. */
static const char *const others[] = {
	"SNAT for WireGuard to internal network",
	"Forward from WireGuard to internal network",
	"Forward from internal network to WireGuard",
};

static bool is_of_go_server(const char *comment)
{
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (strcmp(comment, others[i]) == 0)
			return true;
	return strncmp(comment, mark, sizeof mark - 1) == 0;
}

/*
 * Takes the next word of a line, as iptables-restore splits it: in double quotes, where a backslash
 * protects the next character, or up to a blank. The word is unquoted into the buffer, which is as
 * long as the line. False at the end of the line.
 */
static bool next_word(const char **at, char *word)
{
	const char *p = *at + strspn(*at, " \t");
	bool is_quoted = false;

	if (*p == '\0')
		return false;
	for (; *p && (is_quoted || (*p != ' ' && *p != '\t')); p++) {
		if (*p == '"')
			is_quoted = !is_quoted;
		else if (*p == '\\' && is_quoted && p[1])
			*word++ = *++p;
		else
			*word++ = *p;
	}
	*word = '\0';
	*at = p;
	return true;
}

/* Whether the line adds a rule whose comment is a Go server's. The word is as long as the
 * line. */
static bool is_leftover(const char *line, char *word)
{
	bool is_comment = false;

	if (strncmp(line, "-A ", 3) != 0)
		return false;
	while (next_word(&line, word)) {
		if (is_comment && is_of_go_server(word))
			return true;
		is_comment = strcmp(word, "--comment") == 0;
	}
	return false;
}

/* The batch that is being written. */
struct batch {
	FILE *out;
	char *word; /* for is_leftover() */
	bool table_is_open;
	size_t n_rules;
};

static void write_line(void *context, const char *table, const char *line)
{
	struct batch *batch = context;

	if (is_leftover(line, batch->word)) {
		if (!batch->table_is_open)
			fprintf(batch->out, "*%s\n", table);
		batch->table_is_open = true;
		fprintf(batch->out, "-D %s\n", line + strlen("-A "));
		batch->n_rules++;
	} else if (strcmp(line, "COMMIT") == 0 && batch->table_is_open) {
		fputs("COMMIT\n", batch->out);
		batch->table_is_open = false;
	}
}

char *go_leftovers_batch(const char *saved, size_t *n_rules)
{
	auto_free char *word = malloc(strlen(saved) + 1);
	char *text = NULL;
	size_t length = 0;
	struct batch batch = {.out = open_memstream(&text, &length), .word = word};
	int error = -ENOMEM;

	if (!batch.out)
		return NULL;
	if (word)
		error = iptables_walk(saved, write_line, &batch);
	*n_rules = batch.n_rules;
	if (fclose(batch.out) != 0 || error < 0) {
		free(text);
		return NULL;
	}
	return text;
}

/* Returns how many there were, or -errno, logged. */
static int remove_kind(enum iptables_kind kind, bool dry_run)
{
	const char *name = iptables_kind_name(kind);
	auto_free char *saved = NULL;
	auto_free char *batch = NULL;
	struct run_error error;
	size_t n = 0;
	int result;

	if (!iptables_in_use(kind))
		return 0;
	result = iptables_save(kind, &saved, &error);
	if (result < 0) {
		log_warning(
			"cannot look for the %s rules of an earlier server: %s", name, error.text);
		return result;
	}
	batch = go_leftovers_batch(saved, &n);
	if (!batch) {
		log_warning(
			"cannot look for the %s rules of an earlier server: out of memory", name);
		return -ENOMEM;
	}
	if (n == 0)
		return 0;
	result = dry_run ? 0 : iptables_restore(kind, batch, &error);
	if (result < 0) {
		log_error("cannot remove the %zu %s rules that a Go vprox left: %s", n, name,
			error.text);
		return result;
	}
	log_info("%s %zu %s rules that a Go vprox left", dry_run ? "would remove" : "removed", n,
		name);
	return (int)n;
}

int go_leftovers_remove(bool dry_run)
{
	int n = remove_kind(IPTABLES_NFT, dry_run);
	int n_legacy = remove_kind(IPTABLES_LEGACY, dry_run);

	return n < 0 ? n : n_legacy < 0 ? n_legacy : n + n_legacy;
}
