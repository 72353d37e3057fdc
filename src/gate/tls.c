/* Sets OpenSSL up for server connections. Runs in the gate; what needs files, before it is
 * confined.
 */
#include "gate/tls.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "http/tls_error.h"

enum {
	FRAGMENT_SIZE = 4096, /* of what we send: answers are short, so buffers may be small */
	WARM_UP_ROUNDS = 16,
};

/* For TLS 1.2, where the client's AES hardware or the lack of it decides; 1.3 has no weak ones. */
static const char ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20";

/* For TLS 1.3. Of its suites the first is what a handshake costs both ends least with: SHA-384
 * takes 20 derivations of keys three times as long, and the groups that clients begin with, X25519
 * and P-256, are worth 128 bits. */
static const char suites[] =
	"TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384";

/* The library would also take finite fields of 8192 bits, with which one handshake costs the gate
 * 0.13 s of a core, and nothing the client that makes its key up. */
static const char groups[] = "X25519:P-256:P-384";

/* What a signer makes. */
static const char signatures[] = "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ed25519:ed448:"
				 "RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:"
				 "rsa_pss_pss_sha256:rsa_pss_pss_sha384:rsa_pss_pss_sha512:"
				 "RSA+SHA256:RSA+SHA384:RSA+SHA512";

static const unsigned char alpn_http_1_1[] = "\x08http/1.1";
static const unsigned char alpn_http_1_0[] = "\x08http/1.0";

static bool offers(const unsigned char *list, unsigned int length, const unsigned char *protocol)
{
	for (unsigned int i = 0; i < length; i += list[i] + 1u)
		if (length - i > protocol[0] && memcmp(list + i, protocol, protocol[0] + 1u) == 0)
			return true;
	return false;
}

/* RFC 7301, 3.2. For a client that speaks HTTP/1.0 alone (curl -0) it is "none"; a client that
 * offers nothing we speak is told so before it sends a password. */
static int select_alpn(SSL *ssl, const unsigned char **selected, unsigned char *selected_length,
	const unsigned char *list, unsigned int length, void *context)
{
	(void)ssl;
	(void)context;
	if (offers(list, length, alpn_http_1_1)) {
		*selected = alpn_http_1_1 + 1;
		*selected_length = alpn_http_1_1[0];
		return SSL_TLSEXT_ERR_OK;
	}
	return offers(list, length, alpn_http_1_0) ? SSL_TLSEXT_ERR_NOACK
						   : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* Never ask at the terminal. */
static int no_passphrase(char *buffer, int size, int writing, void *context)
{
	(void)buffer;
	(void)size;
	(void)writing;
	(void)context;
	return 0;
}

static bool use_certificate(SSL_CTX *tls, const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509 *certificate = bio ? PEM_read_bio_X509_AUX(bio, NULL, no_passphrase, NULL) : NULL;
	bool ok = certificate && SSL_CTX_use_certificate(tls, certificate) == 1;

	X509_free(certificate);
	while (ok && (certificate = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)))
		if (SSL_CTX_add0_chain_cert(tls, certificate) != 1) {
			X509_free(certificate);
			ok = false;
		}
	if (ok && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE)
		ERR_clear_error(); /* the end of the chain */
	else
		ok = false;
	BIO_free(bio);
	return ok;
}

int tls_use_key(SSL_CTX *tls, EVP_PKEY *key)
{
	return SSL_CTX_use_PrivateKey(tls, key) == 1 && SSL_CTX_check_private_key(tls) == 1
		       ? 0
		       : -EINVAL;
}

SSL_CTX *tls_new(const char *certificate)
{
	SSL_CTX *tls = SSL_CTX_new(TLS_server_method());

	if (!tls)
		return NULL;
	/* A connection is for one request: there is nothing to resume or to renegotiate. */
	SSL_CTX_set_options(tls, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
					 SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE |
					 SSL_OP_PRIORITIZE_CHACHA | SSL_OP_CLEANSE_PLAINTEXT);
	SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
	/* Else a client that sends key updates without end would keep SSL_read() busy. */
	SSL_CTX_clear_mode(tls, SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_alpn_select_cb(tls, select_alpn, NULL);
	if (SSL_CTX_set_num_tickets(tls, 0) != 1 ||
		SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION) != 1 ||
		SSL_CTX_set_cipher_list(tls, ciphers) != 1 ||
		SSL_CTX_set_ciphersuites(tls, suites) != 1 ||
		SSL_CTX_set1_groups_list(tls, groups) != 1 ||
		SSL_CTX_set1_sigalgs_list(tls, signatures) != 1 ||
		SSL_CTX_set_max_send_fragment(tls, FRAGMENT_SIZE) != 1 ||
		!use_certificate(tls, certificate)) {
		SSL_CTX_free(tls);
		return NULL;
	}
	return tls;
}

/* What is asked before each read; 0 makes it fail. */
static long limit_handshake(BIO *bio, int operation, const char *data, size_t length, int argument,
	long value, int result, size_t *processed)
{
	(void)data;
	(void)length;
	(void)argument;
	(void)value;
	(void)processed;
	if (operation != BIO_CB_READ || BIO_number_read(bio) < TLS_HANDSHAKE_MAX)
		return result;
	ERR_raise(ERR_LIB_SSL, SSL_R_EXCESSIVE_MESSAGE_SIZE);
	return 0;
}

SSL *tls_accept(SSL_CTX *tls, int fd)
{
	SSL *ssl = SSL_new(tls);

	if (!ssl || SSL_set_fd(ssl, fd) != 1) {
		SSL_free(ssl);
		return NULL;
	}
	BIO_set_callback_ex(SSL_get_rbio(ssl), limit_handshake);
	SSL_set_accept_state(ssl);
	SSL_set_mode(ssl, SSL_MODE_ASYNC);
	return ssl;
}

/* Handshakes are few at a time and soon over: to wipe the library's buffers, and to free and make
 * them anew, each time that it awaits something is worth it only for what may last longer. Those of
 * the handshake would stay until something is read or written. */
void tls_accepted(SSL *ssl)
{
	BIO_set_callback_ex(SSL_get_rbio(ssl), NULL);
	SSL_clear_mode(ssl, SSL_MODE_ASYNC);
	SSL_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
	SSL_free_buffers(ssl);
}

/* Two ends of a connection, joined by memory. */
struct pair {
	SSL *server, *client;
};

static bool pair_new(struct pair *pair, SSL_CTX *server, SSL_CTX *client, int version)
{
	BIO *server_bio = NULL, *client_bio = NULL;

	*pair = (struct pair){SSL_new(server), SSL_new(client)};
	if (!pair->server || !pair->client || BIO_new_bio_pair(&server_bio, 0, &client_bio, 0) != 1)
		return false;
	SSL_set_bio(pair->server, server_bio, server_bio);
	SSL_set_bio(pair->client, client_bio, client_bio);
	SSL_set_accept_state(pair->server);
	SSL_set_connect_state(pair->client);
	SSL_set_mode(pair->server, SSL_MODE_ASYNC);
	return SSL_set_max_proto_version(pair->client, version) == 1 &&
	       SSL_set_alpn_protos(pair->client, alpn_http_1_1, sizeof alpn_http_1_1 - 1) == 0;
}

static void pair_free(struct pair *pair)
{
	SSL_free(pair->server);
	SSL_free(pair->client);
}

/* As far as it goes. Returns false if there will be no signature. */
static bool shake_hands(SSL *server, bool (*wait)(void *context), void *context)
{
	int result;

	while ((result = SSL_do_handshake(server)) != 1 &&
		SSL_get_error(server, result) == SSL_ERROR_WANT_ASYNC)
		if (!wait(context))
			return false;
	return true;
}

static bool talk(struct pair *pair, bool (*wait)(void *context), void *context)
{
	char byte = 0;

	for (int i = 0; i < WARM_UP_ROUNDS; i++) {
		SSL_do_handshake(pair->client);
		if (!shake_hands(pair->server, wait, context))
			return false;
	}
	SSL_clear_mode(pair->server, SSL_MODE_ASYNC);
	return SSL_write(pair->client, &byte, 1) == 1 && SSL_read(pair->server, &byte, 1) == 1 &&
	       SSL_write(pair->server, &byte, 1) == 1 && SSL_read(pair->client, &byte, 1) == 1;
}

/* What a client that speaks plain HTTP causes: the error's text has to be looked up once. */
static void fail(struct pair *pair)
{
	static const char garbage[] = "GET / HTTP/1.1\r\n\r\n";

	BIO_write(SSL_get_wbio(pair->client), garbage, sizeof garbage - 1);
	SSL_do_handshake(pair->server);
	tls_error();
}

int tls_warm_up(SSL_CTX *tls, bool (*wait)(void *context), void *context)
{
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
	SSL_CTX *client = SSL_CTX_new(TLS_client_method());
	struct pair pair;
	bool ok = client != NULL;

	for (size_t i = 0; i < sizeof versions / sizeof *versions && ok; i++) {
		ok = pair_new(&pair, tls, client, versions[i]) && talk(&pair, wait, context);
		pair_free(&pair);
	}
	if (ok) {
		ok = pair_new(&pair, tls, client, TLS1_3_VERSION);
		if (ok)
			fail(&pair);
		pair_free(&pair);
	}
	SSL_CTX_free(client);
	return ok ? 0 : -EIO;
}
