/* Has the TLS key and certificate read by a process of its own, and keeps what that leaves: the
 * certificate, and the key in a file. Runs in the broker, at its start. */
#include "server/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/apart.h"
#include "base/file.h"
#include "base/log.h"
#include "http/pin.h"
#include "server/key_pair.h"

/* What the process that has the key is told, and where it leaves what it has found. */
struct loading {
	const char *certificate_path, *key_path;
	const struct ipv4 *addresses;
	size_t n_addresses;
	int certificate_fd, key_fd;
};

/* Runs in a process of its own. */
static int load(void *context)
{
	const struct loading *loading = context;
	struct key_pair pair = {0};
	int error = key_pair_load(&pair, loading->certificate_path, loading->key_path,
		loading->addresses, loading->n_addresses);

	if (error == 0)
		error = file_write_all(
			loading->certificate_fd, pair.certificate, pair.certificate_length);
	if (error == 0)
		error = file_write_all(loading->key_fd, pair.key, pair.key_length);
	return error;
}

static int open_files(struct loading *loading)
{
	loading->certificate_fd = memfd_create("vprox-certificate", MFD_CLOEXEC);
	if (loading->certificate_fd < 0)
		return -errno;
	loading->key_fd = memfd_create("vprox-key", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return loading->key_fd < 0 ? -errno : 0;
}

static int seal(int fd)
{
	const int all = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;

	return fcntl(fd, F_ADD_SEALS, all) < 0 ? -errno : 0;
}

static int read_certificate(struct identity *identity, int fd)
{
	identity->certificate = calloc(1, KEY_PAIR_MAX_PEM + 1);
	if (!identity->certificate)
		return -ENOMEM;

	ssize_t n = pread(fd, identity->certificate, KEY_PAIR_MAX_PEM, 0);

	identity->certificate_length = n < 0 ? 0 : (size_t)n;
	return n < 0 ? -errno : 0;
}

/* Of P-256 alone: the library has it in assembly, 0.02 ms, and the others take 0.3 ms and more. */
static bool is_fast(X509 *certificate)
{
	char group[32] = "";

	EVP_PKEY_get_group_name(X509_get0_pubkey(certificate), group, sizeof group, NULL);
	return strcmp(group, SN_X9_62_prime256v1) == 0;
}

/* What the certificate tells of the key. */
static int describe_key(struct identity *identity)
{
	BIO *bio = BIO_new_mem_buf(identity->certificate, (int)identity->certificate_length);
	X509 *certificate = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
	struct pin pin;
	int error = certificate ? pin_of_certificate(certificate, &pin) : -EINVAL;

	if (error == 0) {
		snprintf(identity->pin, sizeof identity->pin, "%s", pin_text(&pin).s);
		identity->key_is_fast = is_fast(certificate);
	}
	X509_free(certificate);
	BIO_free(bio);
	return error;
}

int identity_load(struct identity *identity, const char *certificate_path, const char *key_path,
	const struct ipv4 *addresses, size_t n_addresses)
{
	struct loading loading = {certificate_path, key_path, addresses, n_addresses, -1, -1};
	int error = open_files(&loading);

	*identity = (struct identity){.key_fd = loading.key_fd};
	if (error < 0)
		log_error("cannot make a file in memory: %s", strerror(-error));
	else
		error = do_apart(load, &loading);
	if (error == 0)
		error = seal(identity->key_fd);
	if (error == 0)
		error = read_certificate(identity, loading.certificate_fd);
	if (error == 0)
		error = describe_key(identity);
	if (loading.certificate_fd >= 0)
		close(loading.certificate_fd);
	if (error < 0)
		identity_free(identity);
	return error;
}

void identity_free(struct identity *identity)
{
	free(identity->certificate);
	if (identity->key_fd >= 0)
		close(identity->key_fd);
	*identity = (struct identity){.key_fd = -1};
}
