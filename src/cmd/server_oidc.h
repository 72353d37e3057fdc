/* The options of `vprox server` about issuers, and what the environment says of them. */
#pragma once

struct config_file;
struct option_use;
struct server_config;

/* --oidc ISSUER,audience=A,require=CLAIM:GLOB[,require=...][,name=CLAIM][,as=LABEL]: one more. */
int server_add_issuer(const struct option_use *use, void *field);

/* VPROX_AUTH_MODE=oidc-modal: the issuer that VPROX_OIDC_... describe, in place of passwords, as
 * the older programs have it. What the settings have goes before what the environment has. Returns
 * 0 or -EINVAL, and writes what is wrong like usage_error(). */
int server_read_mode(const struct config_file *settings, struct server_config *config);

/* Says of a reading that makes sense what the environment or the file says otherwise than at the
 * start, which is in force. */
void server_tell_mode_change(const struct server_config *before, const struct server_config *now);

/* Whom that lets in who perhaps should not be. Once there is a log. */
void server_warn_of_issuers(const struct server_config *config);
