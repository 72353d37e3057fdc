/* TLS connections to a server. Runs in the client's request process: the handshake, where there is
 * no privilege. */
#include "http/tls_client.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/ipv4.h"
#include "http/tls_error.h"

/* h2 is not offered: a Go server would choose it. */
static const unsigned char alpn[] = "\x08http/1.1";

static bool is_address(const char *server)
{
	struct ipv4 address;

	return ipv4_parse(server, &address) == 0;
}

/* All of the file's certificates: authorities, or servers' own. */
static bool load_certificates(SSL_CTX *tls, int fd)
{
	FILE *file = fdopen(fd, "r");
	X509_STORE *store = SSL_CTX_get_cert_store(tls);
	X509 *certificate;
	unsigned int n = 0;

	if (!file)
		return false;
	while ((certificate = PEM_read_X509_AUX(file, NULL, NULL, NULL))) {
		n += X509_STORE_add_cert(store, certificate) == 1;
		X509_free(certificate);
	}
	fclose(file);
	ERR_clear_error();
	return n > 0;
}

static bool require_certificate(SSL_CTX *tls, const char *server)
{
	X509_VERIFY_PARAM *param = SSL_CTX_get0_param(tls);

	/* a server's own certificate will do */
	X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
	/* for one that was asked for before */
	X509_VERIFY_PARAM_set1_ip(param, NULL, 0);
	X509_VERIFY_PARAM_set1_host(param, NULL, 0);
	return is_address(server) ? X509_VERIFY_PARAM_set1_ip_asc(param, server) == 1
				  : X509_VERIFY_PARAM_set1_host(param, server, 0) == 1;
}

SSL_CTX *tls_client_new(int ca_fd, const char *server, const char **fault)
{
	SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
	bool ok = tls && SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION) == 1 &&
		  SSL_CTX_set_alpn_protos(tls, alpn, sizeof alpn - 1) == 0;

	*fault = "cannot set up TLS";
	if (ok) {
		/* The handshake goes through; what is decided then is who it was with. */
		SSL_CTX_set_verify(tls, SSL_VERIFY_NONE, NULL);
		SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
		SSL_CTX_set_options(tls, SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_RENEGOTIATION);
	}
	if (ok && ca_fd >= 0) {
		ok = load_certificates(tls, ca_fd) && require_certificate(tls, server);
		*fault = "--cacert: there is no certificate in the file";
	}
	if (ok)
		return tls;
	SSL_CTX_free(tls);
	return NULL;
}

int tls_client_require(SSL_CTX *tls, const char *server)
{
	return require_certificate(tls, server) ? 0 : -EIO;
}

SSL *tls_client_open(SSL_CTX *tls, int fd, const char *server, const char **fault)
{
	SSL *ssl = SSL_new(tls);

	*fault = "cannot set up TLS";
	if (!ssl || SSL_set_fd(ssl, fd) != 1 ||
		(!is_address(server) && SSL_set_tlsext_host_name(ssl, server) != 1)) {
		SSL_free(ssl);
		return NULL;
	}
	return ssl;
}

SSL *tls_client_connect(SSL_CTX *tls, int fd, const char *server, const char **fault)
{
	SSL *ssl = tls_client_open(tls, fd, server, fault);

	if (!ssl)
		return NULL;
	errno = 0;
	if (SSL_connect(ssl) == 1)
		return ssl;
	*fault = ERR_peek_last_error() ? tls_error()
		 : errno == EAGAIN     ? "no answer to the TLS handshake"
		 : errno != 0          ? strerror(errno)
				       : "the connection was closed in the TLS handshake";
	SSL_free(ssl);
	return NULL;
}

int tls_client_inspect(const SSL *ssl, struct tls_server *server)
{
	X509 *certificate = SSL_get1_peer_certificate(ssl);
	long verified = SSL_get_verify_result(ssl);
	int error = -EIO;

	*server = (struct tls_server){.is_certified = verified == X509_V_OK};
	snprintf(
		server->fault, sizeof server->fault, "%s", X509_verify_cert_error_string(verified));
	if (certificate)
		error = pin_of_certificate(certificate, &server->pin);
	X509_free(certificate);
	return error;
}
