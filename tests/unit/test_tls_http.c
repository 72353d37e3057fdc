#include "test.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "gate/tls.h"
#include "gate/tls_http.h"

enum {
	ROUNDS = 10, /* of a handshake, at most */
	TEXT_SIZE = 1024,
};

/* A server's end and a client's, in one process: neither waits. */
struct fixture {
	SSL_CTX *tls, *client_tls;
	struct gate_endpoint endpoint;
	struct routes routes;
	struct client_address address;
	struct tls_http *server;
	SSL *client;
	int fds[2]; /* the server's, the client's */
};

static void read_all(BIO *bio, char *text)
{
	int n = BIO_read(bio, text, TEXT_SIZE - 1);

	assert_true(n > 0);
	text[n] = '\0';
	BIO_free(bio);
}

static EVP_PKEY *make_identity(char *certificate_text)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	BIO *bio = BIO_new(BIO_s_mem());

	assert_true(key && certificate && bio);
	X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
	assert_int_equal(X509_set_pubkey(certificate, key), 1);
	assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_bio_X509(bio, certificate), 1);
	read_all(bio, certificate_text);
	X509_free(certificate);
	return key;
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);
	char certificate[TEXT_SIZE];
	EVP_PKEY *key = make_identity(certificate);

	assert_non_null(fixture);
	fixture->tls = tls_new(certificate);
	fixture->client_tls = SSL_CTX_new(TLS_client_method());
	assert_true(fixture->tls && fixture->client_tls);
	assert_int_equal(tls_use_key(fixture->tls, key), 0);
	EVP_PKEY_free(key);
	fixture->endpoint.block = (struct prefix){{0x0a000000}, 8};
	fixture->routes.served = (struct served_set){&fixture->endpoint, 1};
	assert_int_equal(bearer_make(&fixture->routes.auth.bearer, "secret", NULL), 0);
	/* 192.0.2.1, mapped */
	fixture->address.ip.s6_addr[10] = fixture->address.ip.s6_addr[11] = 0xff;
	memcpy(fixture->address.ip.s6_addr + 12, "\xc0\x00\x02\x01", 4);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fixture->fds), 0);
	fixture->server =
		tls_http_new(fixture->tls, fixture->fds[0], &fixture->routes, &fixture->address);
	fixture->client = SSL_new(fixture->client_tls);
	assert_true(fixture->server && fixture->client);
	SSL_set_fd(fixture->client, fixture->fds[1]);
	SSL_set_connect_state(fixture->client);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	tls_http_free(fixture->server);
	SSL_free(fixture->client);
	SSL_CTX_free(fixture->tls);
	SSL_CTX_free(fixture->client_tls);
	close(fixture->fds[0]);
	close(fixture->fds[1]);
	free(fixture);
	return 0;
}

static void shake_hands(struct fixture *fixture)
{
	enum need need = NEED_READ;

	for (int i = 0; i < ROUNDS && need == NEED_READ; i++) {
		SSL_do_handshake(fixture->client);
		need = tls_http_handshake(fixture->server);
	}
	assert_int_equal(need, NEED_NOTHING);
	assert_int_equal(SSL_do_handshake(fixture->client), 1);
}

static void send_text(struct fixture *fixture, const char *text)
{
	assert_int_equal(SSL_write(fixture->client, text, (int)strlen(text)), (int)strlen(text));
}

/* The client has got a text that begins so, and nothing if it is empty. */
static void assert_received(struct fixture *fixture, const char *beginning)
{
	char text[TEXT_SIZE];
	int n = SSL_read(fixture->client, text, sizeof text - 1);

	text[n > 0 ? n : 0] = '\0';
	if (*beginning == '\0')
		assert_string_equal(text, "");
	else
		assert_memory_equal(text, beginning, strlen(beginning));
}

static void it_needs_to_read_until_the_request_is_complete(void **state)
{
	struct fixture *fixture = *state;

	shake_hands(fixture);
	assert_int_equal(tls_http_read(fixture->server, false), NEED_READ);
	assert_false(tls_http_has_begun(fixture->server));
	send_text(fixture, "GET /healthz HTTP/1.1\r\nHost: a\r\n");
	assert_int_equal(tls_http_read(fixture->server, false), NEED_READ);
	assert_true(tls_http_has_begun(fixture->server));
	send_text(fixture, "\r\n");
	assert_int_equal(tls_http_read(fixture->server, false), NEED_NOTHING);
	assert_int_equal(tls_http_response(fixture->server)->status, 200);
	assert_received(fixture, "");
	assert_int_equal(tls_http_write(fixture->server), NEED_NOTHING);
	assert_received(fixture, "HTTP/1.1 200 OK\r\n");
}

static const char connect_ipip[] = "POST /connect-ipip HTTP/1.1\r\nHost: a\r\n"
				   "Authorization: Bearer secret\r\n\r\n";

static void what_needs_the_broker_is_answered_with_its_reply(void **state)
{
	struct fixture *fixture = *state;
	struct ipc_reply reply = {.kind = IPC_ANSWER, .status = IPC_POOL_EXHAUSTED};

	shake_hands(fixture);
	send_text(fixture, connect_ipip);
	assert_int_equal(tls_http_read(fixture->server, false), NEED_BROKER);
	assert_int_equal(tls_http_request(fixture->server)->operation, IPC_CONNECT_IPIP);
	tls_http_answer(fixture->server, &reply);
	assert_int_equal(tls_http_response(fixture->server)->status, 503);
	assert_int_equal(tls_http_write(fixture->server), NEED_NOTHING);
	assert_received(fixture, "HTTP/1.1 503 ");
}

static void the_broker_is_not_needed_while_draining(void **state)
{
	struct fixture *fixture = *state;

	shake_hands(fixture);
	send_text(fixture, connect_ipip);
	assert_int_equal(tls_http_read(fixture->server, true), NEED_NOTHING);
	assert_int_equal(tls_http_response(fixture->server)->status, 503);
}

static void a_client_that_waits_for_100_continue_gets_it_while_reading(void **state)
{
	struct fixture *fixture = *state;

	shake_hands(fixture);
	send_text(fixture, "POST /connect HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer secret\r\n"
			   "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
	assert_int_equal(tls_http_read(fixture->server, false), NEED_READ);
	assert_received(fixture, "HTTP/1.1 100 Continue\r\n\r\n");
	send_text(fixture, "{}");
	assert_int_equal(tls_http_read(fixture->server, false), NEED_NOTHING);
	assert_int_equal(tls_http_response(fixture->server)->status, 400);
}

/* Until nothing more goes in, so that nothing of the handshake is among what is thrown away. */
static void fill(struct fixture *fixture)
{
	static const char filler[4096];

	assert_received(fixture, "");
	while (send(fixture->fds[0], filler, sizeof filler, MSG_DONTWAIT) > 0)
		;
}

static void empty(struct fixture *fixture)
{
	char drained[4096];

	while (recv(fixture->fds[1], drained, sizeof drained, MSG_DONTWAIT) > 0)
		;
}

/* Else a client that does not read would have its 100 Continue lost, or be waited for. */
static void it_needs_room_for_100_continue(void **state)
{
	struct fixture *fixture = *state;

	shake_hands(fixture);
	fill(fixture);
	send_text(fixture, "POST /connect HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer secret\r\n"
			   "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
	assert_int_equal(tls_http_read(fixture->server, false), NEED_WRITE);
	assert_int_equal(tls_http_read(fixture->server, false), NEED_WRITE);
	empty(fixture);
	assert_int_equal(tls_http_read(fixture->server, false), NEED_READ);
	assert_received(fixture, "HTTP/1.1 100 Continue\r\n\r\n");
}

static void an_answer_ends_with_a_goodbye_and_waits_for_room(void **state)
{
	struct fixture *fixture = *state;

	shake_hands(fixture);
	send_text(fixture, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_int_equal(tls_http_read(fixture->server, false), NEED_NOTHING);
	fill(fixture);
	assert_int_equal(tls_http_write(fixture->server), NEED_WRITE);
	assert_int_equal(tls_http_write(fixture->server), NEED_WRITE);
	empty(fixture);
	assert_int_equal(tls_http_write(fixture->server), NEED_NOTHING);
	assert_received(fixture, "HTTP/1.1 200 OK\r\n");
	assert_received(fixture, "");
	assert_int_equal(
		SSL_get_shutdown(fixture->client) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
}

static void an_answer_to_who_is_gone_is_a_fault(void **state)
{
	struct fixture *fixture = *state;

	shake_hands(fixture);
	send_text(fixture, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_int_equal(tls_http_read(fixture->server, false), NEED_NOTHING);
	shutdown(fixture->fds[0], SHUT_WR);
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(tls_http_write(fixture->server), NEED_CLOSE);
	assert_non_null(tls_http_fault(fixture->server));
}

static void a_client_that_closes_is_no_fault(void **state)
{
	struct fixture *fixture = *state;

	shake_hands(fixture);
	SSL_shutdown(fixture->client);
	assert_int_equal(tls_http_read(fixture->server, false), NEED_CLOSE);
	assert_null(tls_http_fault(fixture->server));
}

static void what_is_not_tls_is_a_fault_and_gets_no_answer(void **state)
{
	static const char plain[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
	struct fixture *fixture = *state;
	char byte;

	assert_int_equal(write(fixture->fds[1], plain, strlen(plain)), strlen(plain));
	assert_int_equal(tls_http_handshake(fixture->server), NEED_CLOSE);
	assert_non_null(tls_http_fault(fixture->server));
	while (recv(fixture->fds[1], &byte, 1, MSG_DONTWAIT) == 1)
		assert_int_not_equal(byte, 'H');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			it_needs_to_read_until_the_request_is_complete, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_needs_the_broker_is_answered_with_its_reply, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			the_broker_is_not_needed_while_draining, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_client_that_waits_for_100_continue_gets_it_while_reading, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(it_needs_room_for_100_continue, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			an_answer_ends_with_a_goodbye_and_waits_for_room, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			an_answer_to_who_is_gone_is_a_fault, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_client_that_closes_is_no_fault, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_is_not_tls_is_a_fault_and_gets_no_answer, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
