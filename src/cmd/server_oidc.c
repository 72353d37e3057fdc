/* Reads which issuers' tokens are good. Runs in the process that becomes the broker, before it does
 * anything. */
#include "cmd/server_oidc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/url.h"
#include "cmd/auth_mode.h"
#include "cmd/command.h"
#include "cmd/config_file.h"
#include "cmd/option_words.h"
#include "cmd/usage.h"
#include "cmd/values.h"
#include "server/config.h"

static const char modal_issuer[] = "https://oidc.modal.com";
static const char mode_variable[] = "VPROX_AUTH_MODE";
static const char issuer_variable[] = "VPROX_OIDC_ISSUER",
		  audience_variable[] = "VPROX_OIDC_AUDIENCE",
		  workspaces_variable[] = "VPROX_OIDC_ALLOWED_WORKSPACE_IDS";
static const char workspace_rule[] = "workspace_id:";
static const char default_name_claim[] = "sub";

/* What follows the prefix; NULL if it does not begin so. */
static const char *after(const char *text, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(text, prefix, n) == 0 ? text + n : NULL;
}

static bool copy(const char *text, char *field, size_t size)
{
	size_t n = strlen(text);

	if (n == 0 || n >= size)
		return false;
	memcpy(field, text, n + 1);
	return true;
}

static bool is_issuer(const char *text)
{
	struct url url;

	return url_parse(text, &url) == 0 && url.is_tls;
}

static int add_part(const struct option_use *use, const char *part, struct issuer *issuer)
{
	const char *value;

	if ((value = after(part, "audience=")))
		return copy(value, issuer->audience, sizeof issuer->audience)
			       ? 0
			       : option_error(use, "the audience is empty, or too long");
	if ((value = after(part, "name=")))
		return copy(value, issuer->name_claim, sizeof issuer->name_claim)
			       ? 0
			       : option_error(use, "the claim of the name is empty, or too long");
	if ((value = after(part, "as=")))
		return issuer_is_label(value) && copy(value, issuer->label, sizeof issuer->label)
			       ? 0
			       : option_error(use, "what follows as= is no label, of letters, "
						   "digits and . _ -, 32 at the most");
	if ((value = after(part, "require=")))
		return issuer_add_rule(issuer, value) == 0
			       ? 0
			       : option_error(use, "what follows require= is no CLAIM:GLOB, or "
						   "there are too many");
	return option_error(use, "what follows the issuer is audience=, require=, name= or as=");
}

/* Whoever can have a token made for any audience of a public issuer would be let in. */
static int check_issuer(const struct option_use *use, const struct issuer *issuer)
{
	if (!is_issuer(issuer->url))
		return option_error(use, "the issuer is no https:// URL");
	if (issuer->audience[0] == '\0')
		return option_error(use, "audience= is missing");
	if (issuer->rules[0] == '\0')
		return option_error(use, "require= is missing: an issuer has tokens for many; "
					 "require=sub:* is all of them");
	return 0;
}

/* Else a client of one could have what a client of the other has. */
static const struct issuer *find_namesake(
	const struct server_config *config, const struct issuer *issuer)
{
	for (size_t i = 0; i < config->n_issuers; i++)
		if (strcmp(config->issuers[i].url, issuer->url) != 0 &&
			(issuer->label[0] == '\0' || config->issuers[i].label[0] == '\0' ||
				strcmp(config->issuers[i].label, issuer->label) == 0))
			return &config->issuers[i];
	return NULL;
}

static int check_label(const struct option_use *use, const struct server_config *config,
	const struct issuer *issuer)
{
	const struct issuer *other = find_namesake(config, issuer);

	if (!other)
		return 0;
	return option_error(use,
		"clients of this issuer and of %s could have one name: give each issuer "
		"as=LABEL, and another one each",
		other->url);
}

int server_add_issuer(const struct option_use *use, void *field)
{
	struct server_config *config = field;
	struct issuer *issuer = &config->issuers[config->n_issuers];
	auto_free char *text = strdup(use->text);
	char *rest = text, *part;
	int error = 0;

	if (!text)
		return -ENOMEM;
	if (config->n_issuers == ISSUERS_MAX)
		return option_error(use, "there are too many of them");
	*issuer = (struct issuer){0};
	copy(default_name_claim, issuer->name_claim, sizeof issuer->name_claim);
	if (!copy(strsep(&rest, ","), issuer->url, sizeof issuer->url))
		return option_error(use, "the issuer is no https:// URL");
	while (error == 0 && (part = strsep(&rest, ",")))
		error = add_part(use, part, issuer);
	if (error == 0)
		error = check_issuer(use, issuer);
	if (error == 0)
		error = check_label(use, config, issuer);
	if (error == 0)
		config->n_issuers++;
	return error;
}

/* set: by the file of options, which goes before. "" is as if it were not there. */
static const char *variable(const char *set, const char *name, const char *otherwise)
{
	const char *value = set ? set : getenv(name);

	return value && *value ? value : otherwise;
}

static int use_issuer(const struct config_file *settings, struct issuer *issuer)
{
	if (!copy(variable(settings->oidc_issuer, issuer_variable, modal_issuer), issuer->url,
		    sizeof issuer->url) ||
		!is_issuer(issuer->url))
		return usage_error(&command_server, "%s: is no https:// URL", issuer_variable);
	if (issuer->url[strlen(issuer->url) - 1] == '/')
		issuer->url[strlen(issuer->url) - 1] = '\0';
	return 0;
}

/* An ID is itself and no glob. */
static bool is_workspace(const char *id)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._:-";

	return id[strspn(id, allowed)] == '\0';
}

static int add_workspace(struct issuer *issuer, const char *id)
{
	char rule[sizeof workspace_rule + ISSUER_AUDIENCE_SIZE];

	if (!is_workspace(id))
		return -EINVAL;
	strcpy(rule, workspace_rule);
	return copy(id, rule + sizeof workspace_rule - 1, ISSUER_AUDIENCE_SIZE)
		       ? issuer_add_rule(issuer, rule)
		       : -EINVAL;
}

static char *trim(char *text)
{
	size_t n;

	text += strspn(text, " \t");
	n = strlen(text);
	while (n > 0 && strchr(" \t", text[n - 1]))
		text[--n] = '\0';
	return text;
}

static int use_workspaces(
	const struct config_file *settings, struct server_config *config, struct issuer *issuer)
{
	auto_free char *text = strdup(variable(settings->oidc_workspaces, workspaces_variable, ""));
	char *rest = text, *id;
	int error = text ? 0 : -ENOMEM;

	while (error == 0 && (id = strsep(&rest, ","))) {
		id = trim(id);
		if (strcmp(id, "*") == 0)
			config->lets_any_workspace_in = true;
		else if (*id)
			error = add_workspace(issuer, id);
	}
	if (config->lets_any_workspace_in)
		memset(issuer->rules, 0, sizeof issuer->rules);
	return error == 0 ? 0
			  : usage_error(&command_server,
				    "%s: has what is no workspace ID, or too "
				    "many of them",
				    workspaces_variable);
}

static int use_modal(const struct config_file *settings, struct server_config *config)
{
	struct issuer *issuer = &config->issuers[0];
	const char *audience = variable(settings->oidc_audience, audience_variable, "");

	if (config->n_issuers > 0)
		return usage_error(&command_server,
			"--oidc and VPROX_AUTH_MODE=oidc-modal do not go together");
	config->n_issuers = 1;
	config->is_oidc_modal = true;
	*issuer = (struct issuer){.is_name_optional = 1};
	copy(default_name_claim, issuer->name_claim, sizeof issuer->name_claim);
	if (*audience && !copy(audience, issuer->audience, sizeof issuer->audience))
		return usage_error(&command_server, "%s: is too long", audience_variable);
	return use_issuer(settings, issuer) < 0 ? -EINVAL
						: use_workspaces(settings, config, issuer);
}

int server_read_mode(const struct config_file *settings, struct server_config *config)
{
	const char *mode = variable(settings->auth_mode, mode_variable, NULL);

	return auth_mode_is_oidc_modal(mode) ? use_modal(settings, config) : 0;
}

void server_tell_mode_change(const struct server_config *before, const struct server_config *now)
{
	const struct issuer *old = &before->issuers[0], *new = &now->issuers[0];

	if (before->is_oidc_modal != now->is_oidc_modal)
		log_warning("restart to change %s", mode_variable);
	if (!before->is_oidc_modal || !now->is_oidc_modal)
		return;
	if (strcmp(old->url, new->url) != 0)
		log_warning("restart to change %s", issuer_variable);
	if (strcmp(old->audience, new->audience) != 0)
		log_warning("restart to change %s", audience_variable);
	if (memcmp(old->rules, new->rules, sizeof old->rules) != 0)
		log_warning("restart to change %s", workspaces_variable);
}

void server_warn_of_issuers(const struct server_config *config)
{
	if (config->lets_any_workspace_in)
		log_warning("%s is *: tokens of every workspace of %s are good",
			workspaces_variable, config->issuers[0].url);
}
