/*
 * Reads, or makes, the TLS key and certificate. Runs in a process that the broker starts for it:
 * see identity.h.
 */
#include "server/key_pair.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/file.h"
#include "base/log.h"
#include "http/tls_error.h"

enum {
	SERIAL_BITS = 64, /* CA/Browser Forum baseline: at least 64 random ones */
	KEY_MODE = 0600,
	CERTIFICATE_MODE = 0644,
	FOLDER_MODE = 0755,
	MAX_NAMES = 16 * 1024,
};

/* Without a date after which the fleet stands still: RFC 5280, 4.1.2.5. */
static const char no_expiry[] = "99991231235959Z";
static const char long_ago[] = "20200101000000Z";

static const char own_key_path[] = KEY_PAIR_KEY;
static const char own_certificate_path[] = KEY_PAIR_CERTIFICATE;

static int store(const char *path, mode_t mode, BIO *bio)
{
	char *data;
	long length = BIO_get_mem_data(bio, &data);

	return file_create(path, mode, data, (size_t)length);
}

/* Who comes first wins: of two servers that start at once on shared files, both use the first one's
 * key. */
static int make_key(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	BIO *bio = BIO_new(BIO_s_secmem());
	int error = -EIO;

	if (key && bio && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1)
		error = store(own_key_path, KEY_MODE, bio);
	BIO_free(bio);
	EVP_PKEY_free(key);
	return error == -EEXIST ? 0 : error;
}

static EVP_PKEY *parse_key(const char *pem, size_t length)
{
	BIO *bio = BIO_new_mem_buf(pem, (int)length);
	/* An empty passphrase instead of a prompt. */
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, "") : NULL;

	BIO_free(bio);
	return key;
}

static X509 *parse_certificate(const char *pem, size_t length)
{
	BIO *bio = BIO_new_mem_buf(pem, (int)length);
	X509 *certificate = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;

	BIO_free(bio);
	return certificate;
}

static bool add_extension(X509 *certificate, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;
	bool ok;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	ok = extension && X509_add_ext(certificate, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return ok;
}

static bool add_names(X509 *certificate, const struct ipv4 *addresses, size_t n_addresses)
{
	char names[MAX_NAMES];
	size_t n = 0;

	for (size_t i = 0; i < n_addresses && n < sizeof names - 32; i++)
		n += (size_t)sprintf(names + n, "%sIP:%s", i ? "," : "", ipv4_text(addresses[i]).s);
	/* Which addresses are followed is not known yet: clients know the key. */
	return n == 0 || add_extension(certificate, NID_subject_alt_name, names);
}

static bool fill_certificate(
	X509 *certificate, EVP_PKEY *key, const struct ipv4 *addresses, size_t n_addresses)
{
	X509_NAME *name = X509_get_subject_name(certificate);
	BIGNUM *serial = BN_new();
	bool ok = serial && BN_rand(serial, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) &&
		  BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(certificate)) &&
		  X509_set_version(certificate, X509_VERSION_3) &&
		  ASN1_TIME_set_string(X509_getm_notBefore(certificate), long_ago) &&
		  ASN1_TIME_set_string(X509_getm_notAfter(certificate), no_expiry) &&
		  X509_NAME_add_entry_by_txt(
			  name, "CN", MBSTRING_ASC, (const unsigned char *)"vprox", -1, -1, 0) &&
		  X509_set_issuer_name(certificate, name) && X509_set_pubkey(certificate, key) &&
		  add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE") &&
		  add_extension(certificate, NID_ext_key_usage, "serverAuth") &&
		  add_names(certificate, addresses, n_addresses) &&
		  X509_sign(certificate, key, EVP_sha256()) > 0;

	BN_free(serial);
	return ok;
}

static int make_certificate(
	const struct key_pair *pair, const struct ipv4 *addresses, size_t n_addresses)
{
	EVP_PKEY *key = parse_key(pair->key, pair->key_length);
	X509 *certificate = X509_new();
	BIO *bio = BIO_new(BIO_s_mem());
	int error = -EIO;

	if (key && certificate && bio &&
		fill_certificate(certificate, key, addresses, n_addresses) &&
		PEM_write_bio_X509(bio, certificate) == 1)
		error = store(own_certificate_path, CERTIFICATE_MODE, bio);
	BIO_free(bio);
	X509_free(certificate);
	EVP_PKEY_free(key);
	return error == -EEXIST ? 0 : error;
}

static int read_pem(const char *path, char **data, size_t *length)
{
	int error = file_read(path, KEY_PAIR_MAX_PEM, data, length);

	if (error < 0 && error != -ENOENT)
		log_error("cannot read %s: %s", path, strerror(-error));
	return error;
}

static int fail_to_make(const char *path, int error)
{
	log_error("cannot make %s: %s", path, error == -EIO ? tls_error() : strerror(-error));
	return error;
}

/* What was made, or what another one has made meanwhile. A link that leads nowhere is neither. */
static int read_made(const char *path, char **data, size_t *length)
{
	int error = read_pem(path, data, length);

	return error == -ENOENT ? fail_to_make(path, error) : error;
}

static int load_own_key(struct key_pair *pair)
{
	int error = read_pem(own_key_path, &pair->key, &pair->key_length);

	if (error == 0)
		file_warn_if_exposed(own_key_path);
	if (error != -ENOENT)
		return error;
	error = file_make_folder(KEY_PAIR_FOLDER, FOLDER_MODE);
	if (error == 0)
		error = make_key();
	if (error < 0)
		return fail_to_make(own_key_path, error);
	error = read_made(own_key_path, &pair->key, &pair->key_length);
	if (error == 0)
		log_info("made a TLS key: %s", own_key_path);
	return error;
}

static int load_own(struct key_pair *pair, const struct ipv4 *addresses, size_t n_addresses)
{
	int error = load_own_key(pair);

	if (error < 0)
		return error;
	error = read_pem(own_certificate_path, &pair->certificate, &pair->certificate_length);
	if (error != -ENOENT)
		return error;
	error = make_certificate(pair, addresses, n_addresses);
	if (error < 0)
		return fail_to_make(own_certificate_path, error);
	return read_made(own_certificate_path, &pair->certificate, &pair->certificate_length);
}

static int load_given(struct key_pair *pair, const char *certificate_path, const char *key_path)
{
	int error = read_pem(certificate_path, &pair->certificate, &pair->certificate_length);

	if (error == 0)
		error = read_pem(key_path, &pair->key, &pair->key_length);
	if (error == -ENOENT)
		log_error("cannot read %s: no such file",
			pair->certificate ? key_path : certificate_path);
	return error;
}

static int check(struct key_pair *pair, const char *certificate_path, const char *key_path)
{
	EVP_PKEY *key = parse_key(pair->key, pair->key_length);
	X509 *certificate = parse_certificate(pair->certificate, pair->certificate_length);
	int error = -EINVAL;

	if (!key)
		log_error("%s holds no private key in PEM, or one with a passphrase: %s", key_path,
			tls_error());
	else if (!certificate)
		log_error("%s holds no certificate in PEM: %s", certificate_path, tls_error());
	else if (X509_check_private_key(certificate, key) != 1)
		log_error("the certificate %s is not for the key %s: remove the certificate to "
			  "have a new one made, or give the two that belong together",
			certificate_path, key_path);
	else
		error = 0;
	X509_free(certificate);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return error;
}

int key_pair_load(struct key_pair *pair, const char *certificate_path, const char *key_path,
	const struct ipv4 *addresses, size_t n_addresses)
{
	const bool own = !certificate_path;
	int error = own ? load_own(pair, addresses, n_addresses)
			: load_given(pair, certificate_path, key_path);

	if (error < 0)
		return error;
	return check(
		pair, own ? own_certificate_path : certificate_path, own ? own_key_path : key_path);
}
