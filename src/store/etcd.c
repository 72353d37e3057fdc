/* Questions to etcd, with libcurl. Runs in the store's process. */
#include "store/etcd.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/secret_text.h"
#include "ipc/packet.h"
#include "store/etcd_members.h"
#include "store/libcurl.h"

enum {
	ERROR_SIZE = 256,
	URL_SIZE = 512,
	DATE_SIZE = 64,
	NS_PER_S = 1000000000,
	/* With those that are slow by a second, TLS's handshake and the answer come within it. */
	CONNECT_MS = 4000,
	ANSWER_MS = 8000,
	MAX_ANSWER = 16 * 1024 * 1024,

	HTTP_OK = 200,
	HTTP_UNAUTHORIZED = 401,
	HTTP_FORBIDDEN = 403,
	HTTP_SERVER_ERROR = 500,
};

struct etcd {
	struct etcd_members *members;
	size_t current; /* of them: who has answered last */
	const char *member; /* who is asked, HOST:PORT */
	bool has_tls;
	struct secret_text credentials; /* the question for a token; s NULL: none is needed */
	struct secret_text token; /* as a header; s NULL: none yet */
	struct secret_text certificate_key;
	char *ca, *certificate;
	int owner;
	uint64_t deadline_ms;

	struct libcurl curl;
	CURLM *multi;
	CURL *easy;
	char *body;
	size_t body_length;
	char error[ERROR_SIZE];
	int64_t clock_ahead_s;
	uint64_t revision;
	bool has_gone_back;
};

static int fail(struct etcd *etcd, int error, const char *text)
{
	snprintf(etcd->error, sizeof etcd->error, "%s", text);
	return error;
}

const char *etcd_error(const struct etcd *etcd)
{
	return etcd->error;
}

void etcd_set_deadline(struct etcd *etcd, uint64_t ms)
{
	etcd->deadline_ms = ms;
}

/* One question to one member */

static size_t keep_body(char *data, size_t size, size_t n, void *context)
{
	struct etcd *etcd = context;
	size_t length = size * n;
	char *grown;

	if (length > MAX_ANSWER - etcd->body_length)
		return 0;
	grown = realloc(etcd->body, etcd->body_length + length + 1);
	if (!grown)
		return 0;
	etcd->body = grown;
	memcpy(grown + etcd->body_length, data, length);
	etcd->body_length += length;
	grown[etcd->body_length] = '\0';
	return length;
}

/* The time at which it answers: RFC 9110, 6.6.1. */
static size_t read_header(char *data, size_t size, size_t n, void *context)
{
	static const char name[] = "date:";
	struct etcd *etcd = context;
	char text[DATE_SIZE];
	time_t date;

	if (size * n <= sizeof name || size * n >= sizeof text ||
		strncasecmp(data, name, sizeof name - 1) != 0)
		return size * n;
	snprintf(text, sizeof text, "%.*s", (int)(size * n - sizeof name + 1),
		data + sizeof name - 1);
	date = etcd->curl.getdate(text, NULL);
	if (date > 0)
		etcd->clock_ahead_s = (int64_t)(clock_wall_ns() / NS_PER_S) - (int64_t)date;
	return size * n;
}

int64_t etcd_clock_ahead_s(const struct etcd *etcd)
{
	return etcd->clock_ahead_s;
}

static long time_left(const struct etcd *etcd, long most)
{
	uint64_t now = clock_now_ms(&system_clock);

	if (etcd->deadline_ms == 0)
		return most;
	if (now >= etcd->deadline_ms)
		return 0;
	return etcd->deadline_ms - now < (uint64_t)most ? (long)(etcd->deadline_ms - now) : most;
}

/* curl counts 0 as its own default. */
static void set_times(struct etcd *etcd)
{
	long left = time_left(etcd, ANSWER_MS);

	etcd->curl.easy_setopt(etcd->easy, CURLOPT_TIMEOUT_MS, left > 0 ? left : 1L);
	etcd->curl.easy_setopt(etcd->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
}

/* Until curl is through with it. */
static int wait_for_answer(struct etcd *etcd, CURLcode *result)
{
	struct curl_waitfd owner = {.fd = etcd->owner, .events = 0};
	int n_running = 1, n_left;
	CURLMsg *message;

	while (n_running > 0) {
		if (etcd->curl.multi_perform(etcd->multi, &n_running) != CURLM_OK)
			return -EIO;
		if (n_running > 0 &&
			etcd->curl.multi_poll(etcd->multi, &owner, 1, ANSWER_MS, NULL) != CURLM_OK)
			return -EIO;
		if (packet_hangs_up_within(etcd->owner, 0))
			return -EPIPE;
	}
	while ((message = etcd->curl.multi_info_read(etcd->multi, &n_left)))
		if (message->msg == CURLMSG_DONE)
			*result = message->data.result;
	return 0;
}

static int post(
	struct etcd *etcd, const char *path, const char *question, bool with_token, long *status)
{
	char url[URL_SIZE];
	struct curl_slist *headers =
		etcd->curl.slist_append(NULL, "Content-Type: application/json");
	CURLcode result = CURLE_FAILED_INIT;
	int error;

	if (with_token && etcd->token.s)
		headers = etcd->curl.slist_append(headers, etcd->token.s);
	snprintf(
		url, sizeof url, "%s://%s%s", etcd->has_tls ? "https" : "http", etcd->member, path);
	etcd->body_length = 0;
	set_times(etcd);
	etcd->curl.easy_setopt(etcd->easy, CURLOPT_URL, url);
	etcd->curl.easy_setopt(etcd->easy, CURLOPT_POSTFIELDS, question);
	etcd->curl.easy_setopt(etcd->easy, CURLOPT_HTTPHEADER, headers);
	etcd->curl.multi_add_handle(etcd->multi, etcd->easy);
	error = wait_for_answer(etcd, &result);
	etcd->curl.multi_remove_handle(etcd->multi, etcd->easy);
	etcd->curl.easy_getinfo(etcd->easy, CURLINFO_RESPONSE_CODE, status);
	etcd->curl.easy_setopt(etcd->easy, CURLOPT_HTTPHEADER, NULL);
	etcd->curl.slist_free_all(headers);
	if (error == 0 && result != CURLE_OK) {
		snprintf(etcd->error, sizeof etcd->error, "%s: %s", etcd->member,
			etcd->curl.easy_strerror(result));
		return -EIO;
	}
	return error < 0 ? fail(etcd, error, strerror(-error)) : 0;
}

static json_t *parse_body(struct etcd *etcd)
{
	json_t *answer =
		etcd->body_length > 0 ? json_loadb(etcd->body, etcd->body_length, 0, NULL) : NULL;

	if (!json_is_object(answer)) {
		json_decref(answer);
		answer = NULL;
	}
	return answer;
}

/* What the gateway says where it refuses: {"error": TEXT, "code": gRPC's, ...} */
static int refusal(struct etcd *etcd, long status)
{
	json_t *answer = parse_body(etcd);
	const char *said = json_string_value(json_object_get(answer, "error"));
	int error = -EIO;

	snprintf(etcd->error, sizeof etcd->error, "%s: %s (HTTP status %ld)", etcd->member,
		said ? said : "no answer of etcd's", status);
	if (said && strstr(said, "database space exceeded"))
		error = -ENOSPC;
	else if (said && strstr(said, "required revision has been compacted"))
		error = -EALREADY;
	else if (status == HTTP_UNAUTHORIZED || status == HTTP_FORBIDDEN ||
		 (said && (strstr(said, "user name is empty") ||
				  strstr(said, "authentication failed"))))
		error = -EACCES;
	json_decref(answer);
	return error;
}

/* At the member that answered last, then at the others. */
static int ask_members(struct etcd *etcd, const char *path, const char *question, bool with_token)
{
	int error = fail(etcd, -EIO, "none of its names has an address");
	const size_t n = etcd_members_count(etcd->members);

	for (size_t i = 0; i < n; i++, etcd->current = (etcd->current + 1) % n) {
		long status = 0;

		etcd_members_tell(etcd->members, &etcd->curl, etcd->easy);
		etcd->member = etcd_members_get(etcd->members, etcd->current);
		if (!etcd->member) {
			etcd_members_look_up(etcd->members, etcd->current);
			continue;
		}
		error = post(etcd, path, question, with_token, &status);
		if (error == -EPIPE || (error == 0 && status == HTTP_OK))
			return error;
		if (error == 0)
			error = refusal(etcd, status);
		if (status != 0 && status < HTTP_SERVER_ERROR)
			return error;
		etcd_members_look_up(etcd->members, etcd->current);
		if (time_left(etcd, 1) == 0)
			break;
	}
	return error;
}

static int authenticate(struct etcd *etcd)
{
	int error = ask_members(etcd, "/v3/auth/authenticate", etcd->credentials.s, false);
	json_t *answer = error == 0 ? parse_body(etcd) : NULL;
	const char *token = json_string_value(json_object_get(answer, "token"));

	secret_text_wipe(&etcd->token);
	if (token)
		secret_text_append(&etcd->token, "Authorization: %s", token);
	else if (error == 0)
		error = fail(etcd, -EIO, "it gives no token");
	json_decref(answer);
	if (etcd->body)
		explicit_bzero(etcd->body, etcd->body_length);
	return error;
}

static void keep_revision(struct etcd *etcd, const json_t *answer)
{
	const json_t *header = json_object_get(answer, "header");
	const char *text = json_string_value(json_object_get(header, "revision"));

	if (!text)
		return;
	etcd->has_gone_back |= strtoull(text, NULL, 10) < etcd->revision;
	etcd->revision = strtoull(text, NULL, 10);
}

bool etcd_has_gone_back(struct etcd *etcd)
{
	bool has_gone_back = etcd->has_gone_back;

	etcd->has_gone_back = false;
	return has_gone_back;
}

uint64_t etcd_revision(const struct etcd *etcd)
{
	return etcd->revision;
}

int etcd_ask(struct etcd *etcd, const char *path, const json_t *question, json_t **answer)
{
	auto_free char *text = json_dumps(question, JSON_COMPACT);
	int error = 0;

	if (!text)
		return fail(etcd, -ENOMEM, strerror(ENOMEM));
	if (etcd->credentials.s && !etcd->token.s)
		error = authenticate(etcd);
	if (error == 0)
		error = ask_members(etcd, path, text, true);
	/* Tokens live for some minutes. */
	if (error == -EACCES && etcd->credentials.s) {
		error = authenticate(etcd);
		if (error == 0)
			error = ask_members(etcd, path, text, true);
	}
	if (error < 0)
		return error;
	*answer = parse_body(etcd);
	keep_revision(etcd, *answer);
	return *answer ? 0 : fail(etcd, -EIO, "its answer is not JSON");
}

/* Start */

static int make_credentials(struct etcd *etcd, const struct etcd_config *config)
{
	json_t *question = json_pack("{s:s, s:s}", "name", config->user, "password",
		config->password ? config->password : "");
	char *text = question ? json_dumps(question, JSON_COMPACT) : NULL;

	json_decref(question);
	if (!text)
		return -EINVAL;
	secret_text_append(&etcd->credentials, "%s", text);
	explicit_bzero(text, strlen(text));
	free(text);
	return etcd->credentials.failed ? -ENOMEM : 0;
}

static void set_blob(struct etcd *etcd, CURLoption option, char *text)
{
	struct curl_blob blob = {text, text ? strlen(text) : 0, CURL_BLOB_NOCOPY};

	if (text)
		etcd->curl.easy_setopt(etcd->easy, option, &blob);
}

static int set_up_curl(struct etcd *etcd)
{
	int error = libcurl_load(&etcd->curl, etcd->owner);

	if (error < 0)
		return error;
	if (etcd->curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return -EIO;
	etcd->multi = etcd->curl.multi_init();
	etcd->easy = etcd->curl.easy_init();
	if (!etcd->multi || !etcd->easy)
		return -ENOMEM;
	etcd->curl.easy_setopt(etcd->easy, CURLOPT_WRITEFUNCTION, keep_body);
	etcd->curl.easy_setopt(etcd->easy, CURLOPT_WRITEDATA, etcd);
	etcd->curl.easy_setopt(etcd->easy, CURLOPT_HEADERFUNCTION, read_header);
	etcd->curl.easy_setopt(etcd->easy, CURLOPT_HEADERDATA, etcd);
	etcd->curl.easy_setopt(etcd->easy, CURLOPT_NOSIGNAL, 1L);
	etcd->curl.easy_setopt(etcd->easy, CURLOPT_TCP_NODELAY, 1L);
	/* Neither a proxy of the environment nor a member that sends us elsewhere. */
	etcd->curl.easy_setopt(etcd->easy, CURLOPT_PROXY, "");
	etcd->curl.easy_setopt(etcd->easy, CURLOPT_PROTOCOLS_STR, etcd->has_tls ? "https" : "http");
	etcd->curl.easy_setopt(etcd->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	etcd->curl.easy_setopt(etcd->easy, CURLOPT_CAINFO, NULL);
	etcd->curl.easy_setopt(etcd->easy, CURLOPT_CAPATH, NULL);
	set_blob(etcd, CURLOPT_CAINFO_BLOB, etcd->ca);
	set_blob(etcd, CURLOPT_SSLCERT_BLOB, etcd->certificate);
	set_blob(etcd, CURLOPT_SSLKEY_BLOB, etcd->certificate_key.s);
	return 0;
}

int etcd_new(const struct etcd_config *config, struct etcd **result)
{
	struct etcd *etcd = calloc(1, sizeof *etcd);
	int error = -ENOMEM;

	if (!etcd)
		return error;
	etcd->owner = config->owner;
	etcd->has_tls = config->ca != NULL;
	etcd->ca = config->ca ? strdup(config->ca) : NULL;
	etcd->certificate = config->certificate ? strdup(config->certificate) : NULL;
	if (config->key)
		secret_text_append(&etcd->certificate_key, "%s", config->key);
	error = etcd_members_new(config->members, config->names, &etcd->members);
	if (error == 0 && config->user)
		error = make_credentials(etcd, config);
	if (error == 0)
		error = set_up_curl(etcd);
	if (error < 0) {
		etcd_free(etcd);
		return error;
	}
	*result = etcd;
	return 0;
}

void etcd_free(struct etcd *etcd)
{
	if (!etcd)
		return;
	if (etcd->easy)
		etcd->curl.easy_cleanup(etcd->easy);
	if (etcd->multi)
		etcd->curl.multi_cleanup(etcd->multi);
	etcd_members_free(etcd->members);
	secret_text_wipe(&etcd->credentials);
	secret_text_wipe(&etcd->token);
	secret_text_wipe(&etcd->certificate_key);
	free(etcd->ca);
	free(etcd->certificate);
	free(etcd->body);
	free(etcd);
}
