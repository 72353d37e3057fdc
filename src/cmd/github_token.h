/* --oidc-github: where a step of GitHub Actions gets its token. */
#pragma once

struct client_config;
struct command;
struct token_source;

/* What the token of GitHub's is asked for with. */
#define GITHUB_BEARER "ACTIONS_ID_TOKEN_REQUEST_TOKEN"

/*
 * Fills the source in by config->oidc_github and the environment, whose secret is wiped there: what
 * the client starts does not have it. Has the client ask it for a token. Returns 0 or -EINVAL,
 * logged; to be wiped with token_source_wipe() in each case.
 */
int github_token_open(
	struct token_source *source, const struct command *command, struct client_config *config);
