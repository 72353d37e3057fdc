/* Reads one request, writes one answer. Runs in the process that serves metrics, on what anybody
 * who reaches its address has sent. */
#include "metrics/scrape.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	READ_SIZE = 2048,
};

static const char type_metrics[] = "text/plain; version=0.0.4; charset=utf-8";
static const char type_plain[] = "text/plain";

struct page *page_new(char *text, size_t length)
{
	struct page *page = malloc(sizeof *page);

	if (!page) {
		free(text);
		return NULL;
	}
	*page = (struct page){.n_users = 1, .length = length, .text = text};
	return page;
}

struct page *page_use(struct page *page)
{
	page->n_users++;
	return page;
}

void page_drop(struct page *page)
{
	if (!page || --page->n_users > 0)
		return;
	free(page->text);
	free(page);
}

struct scrape *scrape_new(int fd, uint64_t now_ms)
{
	struct scrape *scrape = malloc(sizeof *scrape);

	if (!scrape)
		return NULL;
	scrape->phase = SCRAPE_READING;
	scrape->fd = fd;
	scrape->end_ms = now_ms + SCRAPE_TIME_MS;
	scrape->says_more = false;
	scrape->page = NULL;
	scrape->head_length = scrape->sent = 0;
	http_init(&scrape->parser);
	return scrape;
}

void scrape_free(struct scrape *scrape)
{
	page_drop(scrape->page);
	close(scrape->fd);
	free(scrape);
}

short scrape_events(const struct scrape *scrape)
{
	switch (scrape->phase) {
	case SCRAPE_READING:
	case SCRAPE_LINGERING:
		return POLLIN;
	case SCRAPE_WRITING:
		return POLLOUT;
	default:
		return 0;
	}
}

static bool is_head(const struct scrape *scrape)
{
	return strcmp(scrape->parser.head.method, "HEAD") == 0;
}

static void begin_answer(struct scrape *scrape, const char *status, const char *type, size_t length)
{
	int n = snprintf(scrape->head, sizeof scrape->head,
		"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
		"Connection: close\r\n\r\n",
		status, type, length);

	scrape->head_length = (size_t)n;
	scrape->phase = SCRAPE_WRITING;
}

static void refuse(struct scrape *scrape, const char *status)
{
	begin_answer(scrape, status, type_plain, 0);
}

void scrape_answer(struct scrape *scrape, struct page *page, uint64_t now_ms)
{
	if (!page) {
		refuse(scrape, "503 Service Unavailable");
	} else {
		begin_answer(scrape, "200 OK", type_metrics, page->length);
		if (!is_head(scrape))
			scrape->page = page_use(page);
	}
	scrape_advance(scrape, now_ms);
}

static void judge(struct scrape *scrape)
{
	const struct http_head *head = &scrape->parser.head;

	if (strcmp(head->path, "/metrics") != 0)
		refuse(scrape, "404 Not Found");
	else if (strcmp(head->method, "GET") != 0 && !is_head(scrape))
		refuse(scrape, "405 Method Not Allowed");
	else
		scrape->phase = SCRAPE_ASKING;
}

static bool has_body(const struct http_head *head)
{
	return head->chunked || head->content_length > 0;
}

/* A body is not waited for, nor a second request: what comes after the head is thrown away. */
static void take(struct scrape *scrape, const char *data, size_t length)
{
	size_t used;

	switch (http_parse(&scrape->parser, data, length, &used)) {
	case HTTP_MORE:
		return;
	case HTTP_HEAD:
		scrape->says_more = used < length || has_body(&scrape->parser.head);
		judge(scrape);
		return;
	case HTTP_HEAD_TOO_LARGE:
		scrape->says_more = true;
		refuse(scrape, "431 Request Header Fields Too Large");
		return;
	default:
		scrape->says_more = true;
		refuse(scrape, "400 Bad Request");
		return;
	}
}

/* Returns whether there may be more to do. */
static bool read_request(struct scrape *scrape)
{
	char data[READ_SIZE];
	ssize_t n = recv(scrape->fd, data, sizeof data, MSG_DONTWAIT);

	if (n > 0)
		take(scrape, data, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		scrape->phase = SCRAPE_OVER;
	return n > 0;
}

static ssize_t send_some(const struct scrape *scrape)
{
	size_t sent = scrape->sent;

	if (sent < scrape->head_length)
		return send(scrape->fd, scrape->head + sent, scrape->head_length - sent,
			MSG_DONTWAIT | MSG_NOSIGNAL | (scrape->page ? MSG_MORE : 0));
	sent -= scrape->head_length;
	return send(scrape->fd, scrape->page->text + sent, scrape->page->length - sent,
		MSG_DONTWAIT | MSG_NOSIGNAL);
}

static bool write_answer(struct scrape *scrape, uint64_t now_ms)
{
	size_t length = scrape->head_length + (scrape->page ? scrape->page->length : 0);
	ssize_t n = send_some(scrape);

	if (n >= 0)
		scrape->sent += (size_t)n;
	else if (errno != EAGAIN && errno != EINTR)
		scrape->phase = SCRAPE_OVER;
	if (scrape->sent < length)
		return n >= 0;
	scrape->phase = scrape->says_more ? SCRAPE_LINGERING : SCRAPE_OVER;
	scrape->end_ms = now_ms + SCRAPE_LINGER_MS;
	return true;
}

static bool linger(struct scrape *scrape)
{
	char data[READ_SIZE];
	ssize_t n = recv(scrape->fd, data, sizeof data, MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		scrape->phase = SCRAPE_OVER;
	return false;
}

void scrape_advance(struct scrape *scrape, uint64_t now_ms)
{
	bool goes_on = true;

	while (goes_on) {
		switch (scrape->phase) {
		case SCRAPE_READING:
			goes_on = read_request(scrape);
			break;
		case SCRAPE_WRITING:
			goes_on = write_answer(scrape, now_ms);
			break;
		case SCRAPE_LINGERING:
			goes_on = linger(scrape);
			break;
		default:
			goes_on = false;
		}
	}
}
