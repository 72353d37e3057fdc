/* `vprox token`: makes a token for a client, and the line of the server's file that lets it in. One
 * process, which people start. */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include <openssl/sha.h>

#include "base/clock.h"
#include "base/hex.h"
#include "base/key.h"
#include "cmd/command.h"
#include "cmd/token_file.h"
#include "cmd/usage.h"
#include "cmd/values.h"

enum {
	LINE_SIZE = 1024,
	NS_PER_S = 1000000000,
};

/* So that what looks for secrets in texts finds one. */
#define TOKEN_PREFIX "vprox_"

struct token_text {
	char s[sizeof TOKEN_PREFIX + 2 * KEY_SIZE];
};

struct token_config {
	const char *allow_to[TOKEN_ALLOW_TO_MAX]; /* of each option, with commas between blocks */
	size_t n_allow_to;
	const char *expires;
	unsigned int max_peers;
};

static int add_allow_to(const struct option_use *use, void *field)
{
	struct token_config *config = field;

	if (*use->text == '\0')
		return option_error(use, "must not be empty");
	if (config->n_allow_to == TOKEN_ALLOW_TO_MAX)
		return option_error(
			use, "there are %d already, more are not possible", TOKEN_ALLOW_TO_MAX);
	config->allow_to[config->n_allow_to++] = use->text;
	return 0;
}

static const struct command_option options[] = {
	{
		.name = "allow-to",
		.argument = "CIDR,...",
		.is_repeatable = true,
		.otherwise = "what all clients reach",
		.help = "its clients reach these IPv4 blocks, also private ones, and nothing else",
		.parse = add_allow_to,
	},
	{
		.name = "expires",
		.argument = "DATE",
		.otherwise = "never",
		.help = "the token is good to the end of this day, or until this moment: "
			"2027-01-31, 2027-01-31T12:00:00Z",
		OPTION_TEXT(struct token_config, expires),
	},
	{
		.name = "max-peers",
		.argument = "N",
		.otherwise = "as the server's --max-peers-per-source",
		.help = "so many tunnels at a time",
		OPTION_COUNT(struct token_config, max_peers),
		.min = 1,
		.max = 1 << 24,
	},
	{0},
};

static int make_token(struct token_text *text, struct key *digest)
{
	struct key random;

	if (getrandom(random.bytes, sizeof random.bytes, 0) != sizeof random.bytes)
		return -EIO;
	snprintf(text->s, sizeof text->s, TOKEN_PREFIX "%s", hex_key(&random).s);
	key_wipe(&random);
	return SHA256((const unsigned char *)text->s, strlen(text->s), digest->bytes) ? 0 : -EIO;
}

static void write_line(const struct token_config *config, const char *name,
	const struct key *digest, char line[LINE_SIZE])
{
	char max_peers[sizeof " max-peers=4294967295"] = "";

	if (config->max_peers > 0)
		snprintf(max_peers, sizeof max_peers, " max-peers=%u", config->max_peers);
	snprintf(line, LINE_SIZE, "%s %s%s%s%s", name, hex_key(digest).s, max_peers,
		config->expires ? " expires=" : "", config->expires ? config->expires : "");
	for (size_t i = 0; i < config->n_allow_to; i++) {
		size_t n = strlen(line);

		snprintf(line + n, LINE_SIZE - n, "%s%s", i == 0 ? " allow-to=" : ",",
			config->allow_to[i]);
	}
}

/* As the server reads it, which may have lines of tokens that were good once. Returns 0, or -EINVAL
 * with the fault written. */
static int check(const struct token_config *config, const char line[LINE_SIZE], const char *name)
{
	struct token token = {.line = 0};
	const char *fault, *option;
	char copy[LINE_SIZE];

	if (*name == '\0' || strlen(name) > TOKEN_NAME_MAX || strpbrk(name, " \t\r\n#"))
		return usage_error(&command_token,
			"%.*s: a name is of letters, digits and . _ - @ + : /, 64 at the most",
			TOKEN_OPTION_SHOWN, name);
	snprintf(copy, sizeof copy, "%s", line);
	fault = token_line_parse(copy, &token, &option);
	if (fault)
		return usage_error(&command_token, "%s%.*s: %s", *option ? "--" : "",
			TOKEN_OPTION_SHOWN, *option ? option : name, fault);
	if (token.expires_s == 0 || token.expires_s > clock_wall_ns() / NS_PER_S)
		return 0;
	return usage_error(&command_token,
		"--expires %s: is over by now: the token would let nobody in; give a day or a "
		"moment to come, in UTC",
		config->expires);
}

static int run_token(void *configuration, const char *name)
{
	const struct token_config *config = configuration;
	struct token_text token;
	struct key digest;
	char line[LINE_SIZE];

	if (make_token(&token, &digest) < 0)
		return usage_error(&command_token, "there is no randomness"), STATUS_FAILED;
	write_line(config, name, &digest, line);
	if (check(config, line, name) < 0) {
		explicit_bzero(&token, sizeof token);
		return STATUS_USAGE;
	}
	printf("%s\n%s\n", token.s, line);
	explicit_bzero(&token, sizeof token);
	if (fflush(stdout) != 0)
		return usage_error(&command_token, "standard output: %s", strerror(errno)),
		       STATUS_FAILED;
	fprintf(stderr, "The first line is the client's token, which nothing else will tell. The "
			"second goes into the server's file of --tokens.\n");
	return STATUS_OK;
}

const struct command command_token = {
	.name = "token",
	.summary = "make a token that lets a client in under a name",
	.synopsis = "vprox token [OPTION...] NAME",
	.description =
		"Makes a token and prints two lines: the token, which the client is given, and a "
		"line with its SHA-256 for the server's file of --tokens.",
	.operand = "NAME",
	.options = options,
	.configuration_size = sizeof(struct token_config),
	.run = run_token,
};
