/* Loads the keys that the server has, and says what is to be known of them. Runs in the broker, at
 * its start. */
#include "server/credentials.h"

#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "base/key_file.h"
#include "base/lock.h"
#include "base/log.h"
#include "server/config.h"
#include "server/key_pair.h"

static const char server_key_path[] = RUN_FOLDER "/server-key";

/* What clients take us for, and how another host becomes the same to them. */
static void report_identity(const struct identity *identity, const char *given)
{
	log_info("TLS public key: %s", identity->pin);
	if (given)
		log_info("hosts that an address moves between need this TLS key, %s", given);
	else
		log_info("hosts that an address moves between need this TLS key: on the other one, "
			 "`scp -p THIS-HOST:" KEY_PAIR_KEY " " KEY_PAIR_KEY
			 "`, remove " KEY_PAIR_CERTIFICATE " there, and start");
}

int credentials_load(struct credentials *credentials, const struct server_config *config,
	const struct key *promised)
{
	int error = key_file_load_or_create(server_key_path, promised, &credentials->private_key);

	if (error < 0) {
		log_error("cannot use the WireGuard key %s: %s", server_key_path,
			error == -EINVAL ? "it is no key; remove it to have a new one made"
					 : strerror(-error));
		return error;
	}
	file_warn_if_exposed(server_key_path);
	error = identity_load(&credentials->identity, config->tls_certificate, config->tls_key,
		config->binds, config->n_binds);
	if (error == 0)
		report_identity(&credentials->identity, config->tls_key);
	return error;
}

void credentials_free(struct credentials *credentials)
{
	identity_free(&credentials->identity);
	key_wipe(&credentials->private_key);
}
