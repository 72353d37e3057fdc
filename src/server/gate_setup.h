/* What the configuration means for the gates: whom they run as and what they are told. */
#pragma once

#include "ipc/gate_config.h"

struct endpoint;
struct identity;
struct server_config;

/* Sets user and group: --user, else as user_find(). Logs. Returns 0, -ENOENT or -EINVAL. */
int gate_setup_find_user(const struct server_config *config, struct gate_config *gate);

struct signer_config;

/* Likewise for the signers: as user_find_own() with vprox-signer, where the gates' user is another
 * one than ours; else as the gates do. Fills in all but the number. */
void gate_setup_describe_signer(struct signer_config *signer, const struct server_config *config,
	const struct gate_config *gate);

/*
 * Fills in the rest, but for gate_number. The texts stay the configuration's and the identity's;
 * only settings->endpoints is to be freed by the caller. Returns 0 or -ENOMEM.
 */
int gate_setup_describe(struct gate_settings *settings, const struct server_config *config,
	const struct identity *identity, const struct endpoint *endpoints);
