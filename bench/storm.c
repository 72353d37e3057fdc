/*
 * A storm of clients: requests to a vprox server, each with its own TCP connection and TLS
 * handshake, from as many source addresses as are asked for. Prints "name<TAB>value<TAB>unit"
 * lines: what bench/server collects.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/ssl.h>

#include "base/ipv4.h"
#include "base/key.h"

enum {
	TIMEOUT_S = 5, /* as long as the Go clients wait */
	MAX_THREADS = 64,
	ANSWER_SIZE = 4096,
	REQUEST_SIZE = 1024,
};

struct storm {
	struct ipv4 server;
	unsigned int port;
	const char *method, *path, *password;
	bool with_key;
	unsigned int first_key;
	struct ipv4 first_source; /* 0.0.0.0: the system's choice */
	unsigned int count, n_threads;
	unsigned int n_clients; /* there are so many, over and over; 0: as many as requests */
	unsigned int
		pace; /* requests a second, each at its time; 0: as fast as they are answered */
	bool prints_each;
	SSL_CTX *tls;
	atomic_uint next;
	atomic_uint n_failed;
	double began_ms;
	double *latency_ms; /* of each request */
};

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static int open_connection(const struct storm *storm, unsigned int number)
{
	const struct timeval timeout = {.tv_sec = TIMEOUT_S};
	const int on = 1;
	struct sockaddr_in name = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (storm->first_source.value != 0) {
		struct ipv4 source = {storm->first_source.value + number};

		name.sin_addr.s_addr = ipv4_to_net(source);
		setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof on);
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
		if (bind(fd, (struct sockaddr *)&name, sizeof name) < 0)
			goto failed;
	}
	name.sin_port = htons((uint16_t)storm->port);
	name.sin_addr.s_addr = ipv4_to_net(storm->server);
	if (connect(fd, (struct sockaddr *)&name, sizeof name) == 0)
		return fd;
failed:
	close(fd);
	return -1;
}

/* The nth client's key: the same in a later storm, which can so reconnect or disconnect it. */
static struct key numbered_key(unsigned int number)
{
	struct key key;

	EVP_Digest(&number, sizeof number, key.bytes, NULL, EVP_sha256(), NULL);
	return key;
}

static int write_request(const struct storm *storm, unsigned int number, char *request)
{
	char body[128] = "";

	if (storm->with_key) {
		struct key key = numbered_key(storm->first_key + number);

		sprintf(body, "{\"PeerPublicKey\":\"%s\"}", key_text(&key).s);
	}
	return snprintf(request, REQUEST_SIZE,
		"%s %s HTTP/1.1\r\nHost: vprox\r\nAuthorization: Bearer %s\r\n"
		"Content-Length: %zu\r\n\r\n%s",
		storm->method, storm->path, storm->password, strlen(body), body);
}

static bool exchange(const struct storm *storm, unsigned int number, SSL *ssl)
{
	char request[REQUEST_SIZE], answer[ANSWER_SIZE];
	int n = write_request(storm, number, request), n_answer = 0;

	if (SSL_connect(ssl) != 1 || SSL_write(ssl, request, n) != n)
		return false;
	do {
		n = SSL_read(ssl, answer + n_answer, ANSWER_SIZE - 1 - n_answer);
		n_answer += n > 0 ? n : 0;
		answer[n_answer] = '\0';
	} while (n > 0 && n_answer < ANSWER_SIZE - 1 && !strstr(answer, "}") &&
		 !strstr(answer, "vprox ok") && !strstr(answer, "\r\n\r\nok\n"));
	if (strncmp(answer, "HTTP/1.1 200 ", 13) == 0)
		return true;
	fprintf(stderr, "storm: %.*s\n", (int)strcspn(answer, "\r\n"), answer);
	return false;
}

static bool run_one(const struct storm *storm, unsigned int number)
{
	int fd = open_connection(storm, number);
	SSL *ssl = fd < 0 ? NULL : SSL_new(storm->tls);
	bool ok = ssl && SSL_set_fd(ssl, fd) == 1 && exchange(storm, number, ssl);

	if (ok)
		SSL_shutdown(ssl);
	SSL_free(ssl);
	if (fd >= 0)
		close(fd);
	return ok;
}

/* When a request is to be sent, and its time begins. */
static double await_turn(const struct storm *storm, unsigned int number)
{
	double turn = storm->began_ms + number * 1e3 / (storm->pace ? storm->pace : 1);
	double left = turn - now_ms();
	const struct timespec pause = {
		.tv_sec = (time_t)(left / 1e3), .tv_nsec = (long)(left * 1e6) % 1000000000};

	if (storm->pace == 0)
		return now_ms();
	if (left > 0)
		nanosleep(&pause, NULL);
	return turn;
}

static void *run_thread(void *context)
{
	struct storm *storm = context;
	unsigned int number;

	while ((number = atomic_fetch_add(&storm->next, 1)) < storm->count) {
		double start = await_turn(storm, number);
		bool ok = run_one(storm, storm->n_clients > 0 ? number % storm->n_clients : number);

		storm->latency_ms[number] = now_ms() - start;
		if (!ok)
			atomic_fetch_add(&storm->n_failed, 1);
	}
	return NULL;
}

static int compare(const void *a, const void *b)
{
	double difference = *(const double *)a - *(const double *)b;

	return difference < 0 ? -1 : difference > 0;
}

static void run(struct storm *storm)
{
	pthread_t threads[MAX_THREADS];
	double start = now_ms(), duration;

	storm->began_ms = start;
	for (unsigned int i = 0; i < storm->n_threads; i++)
		if (pthread_create(&threads[i], NULL, run_thread, storm) != 0)
			exit(1);
	for (unsigned int i = 0; i < storm->n_threads; i++)
		pthread_join(threads[i], NULL);
	duration = now_ms() - start;
	for (unsigned int i = 0; i < storm->count && storm->prints_each; i++)
		printf("each\t%.3f\tms\n", storm->latency_ms[i]);
	qsort(storm->latency_ms, storm->count, sizeof(*storm->latency_ms), compare);
	printf("rate\t%.1f\tper s\n", storm->count / duration * 1e3);
	printf("p50\t%.2f\tms\n", storm->latency_ms[storm->count / 2]);
	printf("p99\t%.2f\tms\n", storm->latency_ms[storm->count * 99 / 100]);
	printf("p99.9\t%.2f\tms\n", storm->latency_ms[storm->count * 999 / 1000]);
	printf("longest\t%.2f\tms\n", storm->latency_ms[storm->count - 1]);
	printf("failed\t%u\trequests\n", storm->n_failed);
}

static const char usage[] =
	"Usage: storm --server ADDRESS --path PATH [OPTION...]\n"
	"  --method GET|POST   (default: GET)\n"
	"  --port N            (default: 443)\n"
	"  --password TEXT\n"
	"  --first-key N       send a WireGuard key with each request, the next one each time\n"
	"  --first-source A    the nth request comes from this address + n\n"
	"  --count N           requests (default: 100)\n"
	"  --threads N         of them at a time (default: 1)\n"
	"  --clients N         the requests are of so many clients, in turns\n"
	"  --pace N            requests a second; a request's time begins when it was to be sent\n"
	"  --each              print the time of each request\n";

static const struct option options[] = {
	{"server", required_argument, NULL, 's'},
	{"port", required_argument, NULL, 'o'},
	{"path", required_argument, NULL, 'p'},
	{"method", required_argument, NULL, 'm'},
	{"password", required_argument, NULL, 'w'},
	{"first-key", required_argument, NULL, 'k'},
	{"first-source", required_argument, NULL, 'f'},
	{"count", required_argument, NULL, 'n'},
	{"threads", required_argument, NULL, 't'},
	{"clients", required_argument, NULL, 'c'},
	{"pace", required_argument, NULL, 'a'},
	{"each", no_argument, NULL, 'e'},
	{0},
};

static bool set_option(struct storm *storm, int option)
{
	switch (option) {
	case 's':
		return ipv4_parse(optarg, &storm->server) == 0;
	case 'o':
		storm->port = (unsigned int)atoi(optarg);
		return storm->port > 0 && storm->port < 65536;
	case 'p':
		storm->path = optarg;
		return true;
	case 'm':
		storm->method = optarg;
		return true;
	case 'w':
		storm->password = optarg;
		return true;
	case 'k':
		storm->with_key = true;
		storm->first_key = (unsigned int)atoi(optarg);
		return true;
	case 'f':
		return ipv4_parse(optarg, &storm->first_source) == 0;
	case 'n':
		storm->count = (unsigned int)atoi(optarg);
		return storm->count > 0;
	case 'c':
		storm->n_clients = (unsigned int)atoi(optarg);
		return storm->n_clients > 0;
	case 'a':
		storm->pace = (unsigned int)atoi(optarg);
		return storm->pace > 0;
	case 'e':
		storm->prints_each = true;
		return true;
	case 't':
		storm->n_threads = (unsigned int)atoi(optarg);
		return storm->n_threads > 0 && storm->n_threads <= MAX_THREADS;
	default:
		return false;
	}
}

int main(int argc, char **argv)
{
	struct storm storm = {
		.port = 443, .method = "GET", .password = "", .count = 100, .n_threads = 1};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (!set_option(&storm, option)) {
			fputs(usage, stderr);
			return 2;
		}
	}
	storm.tls = SSL_CTX_new(TLS_client_method());
	storm.latency_ms = calloc(storm.count, sizeof(*storm.latency_ms));
	if (!storm.path || storm.server.value == 0 || !storm.tls || !storm.latency_ms) {
		fputs(usage, stderr);
		return 2;
	}
	run(&storm);
	free(storm.latency_ms);
	SSL_CTX_free(storm.tls);
	return storm.n_failed == 0 ? 0 : 1;
}
