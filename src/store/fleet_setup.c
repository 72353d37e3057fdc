/* Reads what is needed to speak with etcd. Runs in the store's process, at its start and end. */
#include "store/fleet_setup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "base/file.h"
#include "base/fleet_key.h"
#include "base/log.h"
#include "store/etcd.h"
#include "store/etcd_members.h"
#include "ipc/names.h"
#include "ipc/packet.h"
#include "store/outbox.h"

enum {
	MAX_PEM = 1024 * 1024,
	MAX_PASSWORD = 1024,
};

/* Files that hold secrets, as texts. */
struct texts {
	char *ca, *certificate, *key, *password;
};

static void wipe_text(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

static int read_text(const char *path, size_t max, char **text)
{
	size_t length;
	int error = *path ? file_read(path, max, text, &length) : 0;

	if (error < 0)
		log_error("cannot read %s: %s", path, strerror(-error));
	return error;
}

static int read_texts(const struct store_etcd *config, struct texts *texts)
{
	int error = read_text(config->ca, MAX_PEM, &texts->ca);

	if (*config->key)
		file_warn_if_exposed(config->key);
	if (*config->password)
		file_warn_if_exposed(config->password);
	if (error == 0)
		error = read_text(config->certificate, MAX_PEM, &texts->certificate);
	if (error == 0)
		error = read_text(config->key, MAX_PEM, &texts->key);
	if (error == 0)
		error = read_text(config->password, MAX_PASSWORD, &texts->password);
	/* A file of one line. */
	if (error == 0 && texts->password)
		texts->password[strcspn(texts->password, "\r\n")] = '\0';
	return error;
}

static int open_etcd(struct fleet *fleet, const struct store_etcd *config, int owner)
{
	struct texts texts = {0};
	int error = read_texts(config, &texts);

	if (error == 0)
		error = etcd_new(&(struct etcd_config){.members = config->members,
					 .names = fleet->names,
					 .ca = texts.ca,
					 .certificate = texts.certificate,
					 .key = texts.key,
					 .user = *config->user ? config->user : NULL,
					 .password = texts.password,
					 .owner = owner},
			&fleet->etcd);
	free(texts.ca);
	free(texts.certificate);
	wipe_text(texts.key);
	wipe_text(texts.password);
	return error;
}

static int make_sealer(struct fleet *fleet, const char *path)
{
	struct fleet_keys keys = {.n = 0};
	uint8_t salt[SEAL_SALT_SIZE];
	int error = fleet_keys_load(path, &keys);

	file_warn_if_exposed(path);
	if (error < 0)
		log_error("cannot use the fleet's key %s: %s", path,
			error == -EINVAL ? "it is not such a file" : strerror(-error));
	else if (RAND_bytes(salt, sizeof salt) != 1)
		error = -EIO;
	else
		error = sealer_new(&keys, salt, &fleet->maker.sealer);
	fleet_keys_wipe(&keys);
	return error;
}

static int add_served(struct fleet *fleet, const struct store_config *config)
{
	fleet->served = calloc(STORE_MOST_SERVED, sizeof *fleet->served);
	if (!fleet->served)
		return -ENOMEM;
	for (uint32_t i = 0; i < config->n_served; i++)
		fleet->served[fleet->n_served++].bind = config->served[i];
	return 0;
}

static int set_followed(struct fleet *fleet, const struct store_config *config)
{
	fleet->followed = calloc(FLEET_MOST_FOLLOWED, sizeof *fleet->followed);
	if (!fleet->followed)
		return -ENOMEM;
	for (uint32_t i = 0; i < config->n_blocks; i++)
		fleet->blocks[fleet->n_blocks++] = (struct prefix){
			config->blocks[i].address, (uint8_t)config->blocks[i].length};
	return 0;
}

int fleet_new(
	const struct store_config *config, int owner, fleet_tell_fn *tell, struct fleet **result)
{
	struct fleet *fleet = calloc(1, sizeof *fleet);
	int error = -ENOMEM;

	if (fleet) {
		fleet->tell = tell;
		strcpy(fleet->name, config->etcd.fleet);
		fleet->maker.fleet = fleet->name;
		fleet->history.keep_ms = (uint64_t)config->etcd.history_s * 1000;
		gethostname(fleet->host, sizeof fleet->host - 1);
		error = add_served(fleet, config);
	}
	if (error == 0)
		error = set_followed(fleet, config);
	/* Before there is a secret in this process. */
	if (error == 0 && etcd_members_have_names(config->etcd.members))
		error = names_new(config->user, config->group, owner, &fleet->names);
	if (error == 0)
		error = make_sealer(fleet, config->etcd.fleet_key);
	if (error == 0)
		error = open_etcd(fleet, &config->etcd, owner);
	if (error < 0) {
		if (!packet_is_hung_up(error))
			log_error("cannot set up what speaks with etcd: %s", strerror(-error));
		fleet_free(fleet);
		return error;
	}
	*result = fleet;
	return 0;
}

void fleet_free(struct fleet *fleet)
{
	if (!fleet)
		return;
	etcd_free(fleet->etcd);
	names_free(fleet->names);
	sealer_free(fleet->maker.sealer);
	outbox_close(fleet->outbox);
	fleet_view_free(&fleet->view);
	if (fleet->served)
		explicit_bzero(fleet->served, STORE_MOST_SERVED * sizeof *fleet->served);
	free(fleet->served);
	free(fleet->followed);
	free(fleet);
}
