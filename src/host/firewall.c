/*
 * Loads, checks and removes the table "ip vprox". Runs in the broker: at its start and end, and
 * every 5 s; and in `vprox clean`.
 */
#include "host/firewall.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/netfilter.h>
#include <openssl/sha.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "host/firewall_text.h"
#include "host/nft.h"
#include "host/ruleset.h"

/* firewall_text() has the same. */
static const char table_name[] = "vprox";
static const char listing[] = "list table ip vprox\n";
static const char removal[] = "table ip vprox\ndelete table ip vprox\n";

static int digest_table(uint8_t digest[FIREWALL_DIGEST_SIZE], struct nft_error *reason)
{
	auto_free char *text = NULL;
	int error = nft_run_for_output(listing, &text, reason);

	if (error == 0)
		SHA256((const unsigned char *)text, strlen(text), digest);
	return error;
}

int firewall_load(const struct host_config *config, struct firewall_state *state)
{
	auto_free char *text = firewall_text(config);
	struct nft_error reason;
	int error;

	if (!text) {
		log_error("cannot load the firewall: out of memory");
		return -ENOMEM;
	}
	error = nft_run(text, &reason);
	if (error < 0) {
		log_error("cannot load the firewall: %s", reason.text);
		return error;
	}
	/* The generation first: after a change between the two, the next call compares again. */
	error = ruleset_generation(&state->generation);
	if (error < 0)
		snprintf(reason.text, sizeof reason.text, "%s", strerror(-error));
	else
		error = digest_table(state->digest, &reason);
	if (error < 0)
		log_error("cannot read the firewall back: %s", reason.text);
	return error;
}

int firewall_reconcile(const struct host_config *config, struct firewall_state *state)
{
	uint32_t generation;
	uint8_t digest[FIREWALL_DIGEST_SIZE];
	struct nft_error reason;
	int error = ruleset_generation(&generation);

	if (error < 0) {
		log_error("cannot check the firewall: %s", strerror(-error));
		return error;
	}
	if (generation == state->generation)
		return 0;
	/* One that cannot be listed is not there. */
	if (digest_table(digest, &reason) == 0 &&
		memcmp(digest, state->digest, sizeof digest) == 0) {
		state->generation = generation;
		return 0;
	}
	log_warning(
		"another program has changed or removed the nftables table ip vprox: loading it "
		"again");
	return firewall_load(config, state);
}

int firewall_remove(void)
{
	struct nft_error reason;
	int error = nft_run(removal, &reason);

	if (error < 0)
		log_error("cannot remove the firewall: %s", reason.text);
	return error;
}

bool firewall_has_chain(const struct ruleset_chain *chain)
{
	return chain->family == NFPROTO_IPV4 && strcmp(chain->table, table_name) == 0;
}

int firewall_clear(bool dry_run)
{
	auto_free struct ruleset_chain *chains = NULL;
	size_t n;
	int error = ruleset_chains(firewall_has_chain, &chains, &n);

	if (error < 0) {
		log_error("cannot look for the nftables table ip %s: %s", table_name,
			strerror(-error));
		return error;
	}
	if (n == 0)
		return 0;
	error = dry_run ? 0 : firewall_remove();
	if (error < 0)
		return error;
	log_info("%s the nftables table ip %s", dry_run ? "would remove" : "removed", table_name);
	return 1;
}
