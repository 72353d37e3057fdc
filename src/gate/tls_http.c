/* TLS, HTTP and the routes for one connection, put together. Runs in the gate's one thread, called
 * by the connection that owns it. */
#include "gate/tls_http.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>

#include "http/http.h"
#include "gate/tls.h"
#include "http/tls_error.h"

enum {
	READ_SIZE = 16 * 1024, /* a whole TLS record: what is left over in the library would wake
				  nobody */
	HELD_BACK_MAX = RESPONSE_MAX + 512, /* with what TLS adds to it, and its goodbye */
};

struct request {
	char out[RESPONSE_MAX];
	struct http_parser parser;
};

/* What has come behind the head of a request, which waits for a key. */
struct rest {
	size_t length;
	char data[READ_SIZE];
};

struct tls_http {
	SSL *ssl;
	const struct routes *routes;
	const struct client_address *client;
	const char *fault;
	bool is_broken; /* nothing more can be sent, not even a goodbye */
	bool has_said_goodbye; /* it is in the library's hands, with the answer */
	bool is_continuing; /* 100 Continue is being sent */
	bool is_head; /* the method is HEAD: the answer has no body */
	const struct http_route *route;
	struct client_name name; /* that the client has shown to have */
	struct key client_id; /* of the header Vprox-Client; zero: there was none */
	struct ipc_request request;
	size_t out_length;
	struct response response;
	struct request *http; /* NULL until a byte of the request has come */
	struct rest *rest; /* NULL unless a key is awaited */
	bool wants_continue; /* the client waits for 100 Continue */
};

struct tls_http *tls_http_new(
	SSL_CTX *tls, int fd, const struct routes *routes, const struct client_address *client)
{
	struct tls_http *tls_http = calloc(1, sizeof *tls_http);

	if (!tls_http)
		return NULL;
	tls_http->routes = routes;
	tls_http->client = client;
	tls_http->response.path = GATE_PATH_OTHER;
	tls_http->ssl = tls_accept(tls, fd);
	if (!tls_http->ssl) {
		free(tls_http);
		return NULL;
	}
	return tls_http;
}

static void drop_rest(struct tls_http *tls_http)
{
	if (tls_http->rest)
		explicit_bzero(tls_http->rest->data, tls_http->rest->length);
	free(tls_http->rest);
	tls_http->rest = NULL;
}

void tls_http_free(struct tls_http *tls_http)
{
	if (!tls_http)
		return;
	if (!tls_http->has_said_goodbye && !tls_http->is_broken &&
		SSL_is_init_finished(tls_http->ssl)) {
		ERR_clear_error();
		SSL_shutdown(tls_http->ssl);
		ERR_clear_error();
	}
	SSL_free(tls_http->ssl);
	drop_rest(tls_http);
	if (tls_http->http)
		http_wipe(&tls_http->http->parser);
	free(tls_http->http);
	free(tls_http);
}

bool tls_http_has_begun(const struct tls_http *tls_http)
{
	return tls_http->http && http_has_begun(&tls_http->http->parser);
}

bool tls_http_is_admitted(const struct tls_http *tls_http)
{
	return tls_http->route != NULL;
}

const struct ipc_request *tls_http_request(const struct tls_http *tls_http)
{
	return &tls_http->request;
}

const struct response *tls_http_response(const struct tls_http *tls_http)
{
	return &tls_http->response;
}

const char *tls_http_fault(const struct tls_http *tls_http)
{
	return tls_http->fault;
}

/* After a function of the library that did not succeed. */
static enum need need_of(struct tls_http *tls_http, int result)
{
	switch (SSL_get_error(tls_http->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return NEED_READ;
	case SSL_ERROR_WANT_WRITE:
		return NEED_WRITE;
	case SSL_ERROR_WANT_ASYNC:
		return NEED_SIGNATURE;
	case SSL_ERROR_WANT_ASYNC_JOB:
		return NEED_JOB;
	case SSL_ERROR_ZERO_RETURN:
		return NEED_CLOSE;
	default:
		tls_http->is_broken = true;
		tls_http->fault = ERR_peek_error() ? tls_error() : "the connection is broken";
		return NEED_CLOSE;
	}
}

enum need tls_http_handshake(struct tls_http *tls_http)
{
	int result;

	ERR_clear_error();
	result = SSL_do_handshake(tls_http->ssl);
	if (result != 1)
		return need_of(tls_http, result);
	tls_accepted(tls_http->ssl);
	return NEED_NOTHING;
}

/* All or nothing: the library does not write in parts unless it is told to. */
static enum need write_out(struct tls_http *tls_http)
{
	int n;

	ERR_clear_error();
	n = SSL_write(tls_http->ssl, tls_http->http->out, (int)tls_http->out_length);
	return n <= 0 ? need_of(tls_http, n) : NEED_NOTHING;
}

/* What is written from now on is kept until it is flushed: BIO_f_buffer(3). It has room for an
 * answer and a goodbye. */
static bool hold_back(SSL *ssl)
{
	BIO *buffer = BIO_new(BIO_f_buffer()), *socket = SSL_get_wbio(ssl);

	if (!buffer || BIO_set_write_buffer_size(buffer, HELD_BACK_MAX) != 1) {
		BIO_free(buffer);
		return false;
	}
	BIO_up_ref(socket);
	SSL_set0_wbio(ssl, BIO_push(buffer, socket));
	return true;
}

/* Into the buffer, and so at once. */
static enum need write_answer(struct tls_http *tls_http)
{
	enum need need = hold_back(tls_http->ssl) ? write_out(tls_http) : NEED_CLOSE;

	if (need != NEED_NOTHING)
		return NEED_CLOSE;
	SSL_shutdown(tls_http->ssl);
	tls_http->has_said_goodbye = true;
	return NEED_NOTHING;
}

static enum need flush(struct tls_http *tls_http)
{
	BIO *buffer = SSL_get_wbio(tls_http->ssl);

	ERR_clear_error();
	if (BIO_flush(buffer) == 1)
		return NEED_NOTHING;
	if (BIO_should_retry(buffer))
		return NEED_WRITE;
	tls_http->fault = "the connection is broken";
	return NEED_CLOSE;
}

enum need tls_http_write(struct tls_http *tls_http)
{
	enum need need = tls_http->has_said_goodbye ? NEED_NOTHING : write_answer(tls_http);

	return need == NEED_NOTHING ? flush(tls_http) : need;
}

static enum need send_continue(struct tls_http *tls_http)
{
	enum need need = write_out(tls_http);

	if (need != NEED_NOTHING)
		return need;
	tls_http->is_continuing = false;
	return NEED_READ;
}

static enum need begin_continue(struct tls_http *tls_http)
{
	static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";

	tls_http->out_length = sizeof text - 1;
	memcpy(tls_http->http->out, text, tls_http->out_length);
	tls_http->is_continuing = true;
	tls_http->wants_continue = false;
	return send_continue(tls_http);
}

/* The response is set. */
static enum need respond(struct tls_http *tls_http)
{
	tls_http->out_length = response_write(
		&tls_http->response, !tls_http->is_head, time(NULL), tls_http->http->out);
	return NEED_NOTHING;
}

static enum need serve(struct tls_http *tls_http, bool draining)
{
	size_t length;
	const char *body = http_body(&tls_http->http->parser, &length);

	if (!routes_serve(tls_http->routes, tls_http->route, tls_http->client, draining, body,
		    length, &tls_http->response, &tls_http->request))
		return respond(tls_http);
	tls_http->request.name = tls_http->name;
	if (tls_http->request.operation == IPC_CONNECT_IPIP ||
		tls_http->request.operation == IPC_DISCONNECT_IPIP)
		tls_http->request.key = tls_http->client_id;
	return NEED_BROKER;
}

/* The broker gets no text of a client's. */
static void record_client(struct tls_http *tls_http, const struct http_head *head)
{
	if (head->client)
		SHA256((const unsigned char *)head->client, strlen(head->client),
			tls_http->client_id.bytes);
}

void tls_http_answer(struct tls_http *tls_http, const struct ipc_reply *reply)
{
	routes_answer(
		tls_http->routes, tls_http->route, tls_http->client, reply, &tls_http->response);
	respond(tls_http);
}

/* The head is there, and length bytes behind it. Returns NEED_NOTHING if it is refused, NEED_READ
 * if it is not. */
static enum need admit(struct tls_http *tls_http, size_t length, bool is_late)
{
	const struct http_head *head = &tls_http->http->parser.head;

	tls_http->is_head = strcmp(head->method, "HEAD") == 0;
	tls_http->route = routes_admit(
		tls_http->routes, head, tls_http->client, &tls_http->response, &tls_http->name);
	if (!tls_http->route && tls_http->response.status == 0 && !is_late)
		return NEED_KEY;
	if (!tls_http->route && tls_http->response.status == 0)
		routes_refuse_bearer(&tls_http->response);
	if (!tls_http->route)
		return respond(tls_http);
	record_client(tls_http, head);
	/* RFC 9110, 10.1.1: not where the body is coming already. */
	tls_http->wants_continue = head->expects_continue && head->minor_version > 0 && length == 0;
	return NEED_READ;
}

/* Until the key is there. */
static enum need keep_rest(struct tls_http *tls_http, const char *data, size_t length)
{
	tls_http->rest = malloc(sizeof *tls_http->rest);
	if (!tls_http->rest)
		return NEED_CLOSE;
	tls_http->rest->length = length;
	memcpy(tls_http->rest->data, data, length);
	return NEED_KEY;
}

/* What was read. Returns NEED_READ if the request is not complete. */
static enum need parse(struct tls_http *tls_http, const char *data, size_t length, bool draining)
{
	enum need need;
	size_t used;

	for (;; data += used, length -= used) {
		enum http_event event = http_parse(&tls_http->http->parser, data, length, &used);

		switch (event) {
		case HTTP_MORE:
			return tls_http->wants_continue ? begin_continue(tls_http) : NEED_READ;
		case HTTP_HEAD:
			need = admit(tls_http, length - used, false);
			if (need == NEED_KEY)
				return keep_rest(tls_http, data + used, length - used);
			if (need != NEED_READ)
				return need;
			break;
		case HTTP_END:
			return serve(tls_http, draining);
		default:
			routes_reject(event, &tls_http->response);
			return respond(tls_http);
		}
	}
}

enum need tls_http_find_key(struct tls_http *tls_http, bool is_late, bool draining)
{
	enum need need = admit(tls_http, tls_http->rest->length, is_late);

	if (need == NEED_KEY)
		return need;
	if (need == NEED_READ)
		need = parse(tls_http, tls_http->rest->data, tls_http->rest->length, draining);
	drop_rest(tls_http);
	return need;
}

/* A client with Nagle's algorithm on keeps its request back until the end of its handshake is
 * acknowledged, which TLS 1.3 gives no other reason to send: 40 ms. */
static void acknowledge(int fd)
{
	static const int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

/* Memory for the request, once there is a byte of it. */
static bool make_request(struct tls_http *tls_http)
{
	if (tls_http->http)
		return true;
	tls_http->http = malloc(sizeof *tls_http->http);
	if (tls_http->http)
		http_init(&tls_http->http->parser);
	return tls_http->http != NULL;
}

enum need tls_http_read(struct tls_http *tls_http, bool draining)
{
	char buffer[READ_SIZE];
	enum need need;
	int n;

	if (tls_http->is_continuing)
		return send_continue(tls_http);
	ERR_clear_error();
	n = SSL_read(tls_http->ssl, buffer, sizeof buffer);
	if (n <= 0) {
		need = need_of(tls_http, n);
		if (need == NEED_READ && !tls_http_has_begun(tls_http))
			acknowledge(SSL_get_fd(tls_http->ssl));
		return need;
	}
	need = make_request(tls_http) ? parse(tls_http, buffer, (size_t)n, draining) : NEED_CLOSE;
	explicit_bzero(buffer, (size_t)n);
	return need;
}
