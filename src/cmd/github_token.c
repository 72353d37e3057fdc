/* Reads where a step of GitHub Actions gets a token from: GitHub's documentation, "OpenID Connect
 * reference". Runs in the client, at its start. */
#include "cmd/github_token.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/config.h"
#include "client/token_source.h"
#include "cmd/usage.h"
#include "http/authorities.h"

static const char url_variable[] = "ACTIONS_ID_TOKEN_REQUEST_URL";

static int set(struct token_source *source, const struct command *command,
	const struct client_config *config, const char *bearer)
{
	const char *url = getenv(url_variable);
	int error;

	if (config->oidc_github[0] == '\0')
		return usage_error(command, "--oidc-github: the audience is empty");
	if (!url || !*url || !bearer || !*bearer)
		return usage_error(command,
			"--oidc-github: %s is not set. GitHub sets it for the steps of a job with "
			"`permissions: id-token: write`; sudo takes it away, unless it is told to "
			"--preserve-env=%s,%s",
			!url || !*url ? url_variable : GITHUB_BEARER, url_variable, GITHUB_BEARER);
	error = token_source_set(source, url, config->oidc_github, bearer);
	if (error == -EINVAL)
		return usage_error(
			command, "--oidc-github: %s is no https:// URL, or too long", url_variable);
	return error < 0 ? usage_error(command,
				   "--oidc-github: " GITHUB_BEARER " is too long, or has "
				   "characters that no token has")
			 : 0;
}

int github_token_open(
	struct token_source *source, const struct command *command, struct client_config *config)
{
	char *bearer = getenv(GITHUB_BEARER);
	int error = set(source, command, config, bearer);

	if (bearer)
		explicit_bzero(bearer, strlen(bearer));
	unsetenv(GITHUB_BEARER);
	authorities_find(source->authorities);
	config->token_source = source;
	config->shows_token = true;
	config->password = token_source_show;
	config->password_context = source;
	return error;
}
