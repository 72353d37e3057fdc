/* What the configuration means for the gates: whom they run as and what they are told. */
#pragma once

#include "ipc/gate_config.h"

struct endpoint;
struct identity;
struct server_config;

/* Sets user and group: --user, else as user_find(). Logs. Returns 0, -ENOENT or -EINVAL. */
int gate_setup_find_user(const struct server_config *config, struct gate_config *gate);

/* Likewise for a process of another kind: as user_find_own() with this name, where the gates' user
 * is another one than ours; else as the gates do. */
void gate_setup_choose_user(
	const char *name, const struct gate_config *gate, uint32_t *user, uint32_t *group);

struct signer_config;

/* What the signers are told: all but the number. Their user is vprox-signer. */
void gate_setup_describe_signer(struct signer_config *signer, const struct server_config *config,
	const struct gate_config *gate);

struct issuer_fetch_config;

/* What the processes are told that fetch issuers' keys: all but number and URL. Their user is
 * vprox-oidc. */
void gate_setup_describe_fetcher(struct issuer_fetch_config *fetcher,
	const struct server_config *config, const struct gate_config *gate);

/*
 * Fills in the rest, but for gate_number and the endpoints: there are none yet, but room for all
 * that there can be. The certificate stays the identity's; only
 * settings->endpoints is to be freed by the caller. Returns 0 or -ENOMEM.
 */
int gate_setup_describe(struct gate_settings *settings, const struct server_config *config,
	const struct identity *identity);

/* What the gates are told of the configuration that can change while they run. */
struct live_settings gate_setup_describe_live(const struct server_config *config);

/* What the gates are told of an endpoint. */
struct gate_endpoint gate_setup_describe_endpoint(const struct endpoint *endpoint);
