/* Reads the file of --tokens. Runs in the process that becomes the broker, and in the broker when
 * the configuration is read again. */
#include "cmd/token_file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/hex.h"
#include "base/key.h"
#include "base/log.h"
#include "cmd/usage.h"
#include "host/egress_policy.h"

enum {
	FILE_MAX = 64 << 20, /* bytes */
	MOST_PEERS = 1 << 24,
	SECONDS_OF_DAY = 24 * 60 * 60,
};

static const char blanks[] = " \t\r";

/* What makes no escapes in a client's name, and is no other part of a line. */
static const char *parse_name(const char *text, struct token *token)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-@+:/";

	if (text[strspn(text, allowed)] != '\0')
		return "a name is of letters, digits and . _ - @ + : /";
	if (strlen(text) > TOKEN_NAME_MAX)
		return "its name has more than 64 characters";
	if (client_name_make(CLIENT_NAME_TOKEN, text, &token->name) < 0)
		return "it has no name";
	return NULL;
}

static bool parse_digest(const char *text, uint8_t digest[BEARER_DIGEST_SIZE])
{
	struct key key;

	if (!text || hex_parse_key(text, &key) < 0)
		return false;
	memcpy(digest, key.bytes, BEARER_DIGEST_SIZE);
	key_wipe(&key);
	return true;
}

static const char *parse_digests(char *text, struct token *token)
{
	char *current = strsep(&text, ","), *previous = text ? text : current;

	return parse_digest(current, token->digests[0]) && parse_digest(previous, token->digests[1])
		       ? NULL
		       : "behind the name comes the SHA-256 of its token, of 64 hexadecimal "
			 "digits, "
			 "or two of them with a comma: `vprox token` makes such a line";
}

static const char *parse_max_peers(const char *text, struct token *token)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end != '\0' || value < 1 || value > MOST_PEERS)
		return "not a number from 1 to 16777216";
	token->max_peers = (uint32_t)value;
	return NULL;
}

/* Returns s since 1970, or -1 for a day that no calendar has, such as February 30: timegm() takes
 * it for one of March. */
static time_t seconds_of(const struct tm *written)
{
	struct tm settled = *written;
	const time_t at = timegm(&settled);

	return settled.tm_mon == written->tm_mon && settled.tm_mday == written->tm_mday &&
			       settled.tm_sec == written->tm_sec
		       ? at
		       : -1;
}

/* In UTC; a day alone is good to its end. */
static const char *parse_expires(const char *text, struct token *token)
{
	struct tm day = {0}, moment = {0};
	const char *end_of_day = strptime(text, "%Y-%m-%d", &day);
	const char *end_of_moment = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &moment);
	time_t at = -1;

	if (end_of_moment && *end_of_moment == '\0')
		at = seconds_of(&moment);
	else if (end_of_day && *end_of_day == '\0' && seconds_of(&day) > 0)
		at = seconds_of(&day) + SECONDS_OF_DAY;
	if (at <= 0)
		return "not a day, such as 2027-01-31, nor a moment in UTC, such as "
		       "2027-01-31T12:00:00Z";
	token->expires_s = (uint64_t)at;
	return NULL;
}

static const char *add_allow_to(const char *text, struct token *token)
{
	struct prefix prefix;

	if (prefix_parse(text, &prefix) < 0)
		return "not IPv4 blocks such as 10.20.0.0/16, with commas between";
	if (egress_policy_never(prefix))
		return "has a block that no tunnel reaches";
	if (token->n_allow_to == TOKEN_ALLOW_TO_MAX)
		return "is one block more than the 16 that are possible";
	token->allow_to[token->n_allow_to++] = prefix;
	return NULL;
}

/* One that is there twice adds to what is there. */
static const char *parse_allow_to(const char *text, struct token *token)
{
	char block[sizeof(struct prefix_text)];
	const char *fault = NULL;
	size_t n;

	do {
		n = strcspn(text, ",");
		snprintf(block, sizeof block, "%.*s", (int)n, text);
		fault = add_allow_to(n < sizeof block ? block : "", token);
		text += n + (text[n] == ',');
	} while (!fault && text[-1] == ',');
	return fault;
}

static const char *parse_option(const char *text, struct token *token, const char **option)
{
	static const struct {
		const char *name;
		const char *(*parse)(const char *text, struct token *token);
	} known[] = {
		{"max-peers=", parse_max_peers},
		{"expires=", parse_expires},
		{"allow-to=", parse_allow_to},
	};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		size_t n = strlen(known[i].name);

		if (strncmp(text, known[i].name, n) == 0) {
			*option = text;
			return known[i].parse(text + n, token);
		}
	}
	return "an option is max-peers=N, expires=DATE or allow-to=CIDR,...";
}

/* The next word of a line; NULL: there is none. */
static char *next_word(char **line)
{
	char *word;

	do
		word = strsep(line, blanks);
	while (word && *word == '\0');
	return word;
}

const char *token_line_parse(char *line, struct token *token, const char **option)
{
	char *name = next_word(&line), *digests = next_word(&line), *word;
	const char *fault = parse_name(name ? name : "", token);

	*option = "";
	if (!fault)
		fault = parse_digests(digests ? digests : (char[]){""}, token);
	while (!fault && (word = next_word(&line))) {
		*option = "";
		fault = parse_option(word, token, option);
	}
	return fault;
}

static bool says_nothing(const char *line)
{
	line += strspn(line, blanks);
	return *line == '\0' || *line == '#';
}

struct token_reading {
	const struct command *command;
	const char *path;
	struct token *tokens;
	size_t n;
};

static int read_line(struct token_reading *reading, char *line, uint32_t number)
{
	struct token *grown, token = {.line = number};
	const char *fault, *option;

	if (says_nothing(line))
		return 0;
	fault = token_line_parse(line, &token, &option);
	if (fault)
		return usage_error(reading->command, "%s: line %u: %.*s%s%s", reading->path, number,
			TOKEN_OPTION_SHOWN, option, *option ? ": " : "", fault);
	if (reading->n == TOKEN_SET_MAX)
		return usage_error(reading->command,
			"%s: line %u: there are more than 100000 tokens", reading->path, number);
	grown = array_grow(reading->tokens, reading->n, sizeof *grown);
	if (!grown)
		return -ENOMEM;
	reading->tokens = grown;
	grown[reading->n++] = token;
	return 0;
}

static int read_lines(struct token_reading *reading, char *text)
{
	uint32_t number = 1;
	int error = 0;
	char *line;

	for (; error == 0 && (line = strsep(&text, "\n")); number++)
		error = read_line(reading, line, number);
	return error;
}

/* The tokens are the set's, or freed. */
static int make_set(struct token_reading *reading, struct token_set **set)
{
	const size_t n = reading->n;
	auto_free uint32_t *lines = calloc(n + 1, sizeof *lines);
	size_t again;
	int error;

	for (size_t i = 0; lines && i < n; i++)
		lines[i] = reading->tokens[i].line;
	error = token_set_new(reading->tokens, n, set, &again);
	reading->tokens = NULL;
	if (error == -EEXIST)
		return usage_error(reading->command,
			"%s: line %u: another line has this name or this digest", reading->path,
			lines ? lines[again] : 0);
	return error;
}

static void free_tokens(struct token_reading *reading)
{
	if (reading->tokens)
		explicit_bzero(reading->tokens, reading->n * sizeof *reading->tokens);
	free(reading->tokens);
}

int token_file_load(const struct command *command, const char *path, struct token_set **set)
{
	struct token_reading reading = {.command = command, .path = path};
	auto_free char *text = NULL;
	size_t length;
	int error = file_read(path, FILE_MAX, &text, &length);

	*set = NULL;
	if (error < 0)
		return usage_error(
			command, "cannot read the tokens' file %s: %s", path, strerror(-error));
	if (strlen(text) != length)
		return usage_error(command, "%s: is no text", path);
	error = read_lines(&reading, text);
	explicit_bzero(text, length);
	if (error == 0)
		error = make_set(&reading, set);
	else
		free_tokens(&reading);
	if (error == -ENOMEM)
		return usage_error(command, "%s: out of memory", path);
	if (error == 0)
		file_warn_if_exposed(path);
	return error;
}
