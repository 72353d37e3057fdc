/*
 * One connection of somebody who asks for the metrics: one request of HTTP (RFC 9112), one answer,
 * and its end, whatever else comes. It knows its socket, but neither events nor other connections.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/http.h"

enum {
	SCRAPE_HEAD_SIZE = 256, /* of an answer's */
	SCRAPE_TIME_MS = 10000, /* for all of it, from the beginning to the end */
	SCRAPE_LINGER_MS = 1000, /* for an other end that says more than a head to close first, so
				    that no reset takes the answer from it */
};

/* The text of an answer, which several may be given at once. */
struct page {
	unsigned int n_users;
	size_t length;
	char *text;
};

/* Takes over the text, from malloc(3), and has one user. Returns NULL without memory, and then the
 * text is freed. */
struct page *page_new(char *text, size_t length);
struct page *page_use(struct page *page);
/* Frees it with its last user. NULL is fine. */
void page_drop(struct page *page);

enum scrape_phase {
	SCRAPE_READING,
	SCRAPE_ASKING, /* a page of metrics is to be given to it: scrape_answer() */
	SCRAPE_WRITING,
	SCRAPE_LINGERING,
	SCRAPE_OVER, /* to be freed */
};

struct scrape {
	enum scrape_phase phase;
	int fd;
	uint64_t end_ms; /* when its time is over */
	bool says_more; /* than the head of one request */
	struct page *page; /* NULL: the answer has no body */
	size_t head_length, sent; /* sent: of head and page together */
	char head[SCRAPE_HEAD_SIZE];
	struct http_parser parser;
};

/* On a connected, non-blocking socket, which is the scrape's from now on. Returns NULL without
 * memory; then it is the caller's still. */
struct scrape *scrape_new(int fd, uint64_t now_ms);
/* Closes the socket. */
void scrape_free(struct scrape *scrape);

/* The poll(2) events that it waits for; 0: none but the other end's hanging up. */
short scrape_events(const struct scrape *scrape);
/* Goes on as far as it can without waiting. */
void scrape_advance(struct scrape *scrape, uint64_t now_ms);
/* Of one that is SCRAPE_ASKING: begins its answer, with a page that it is one more user of; NULL:
 * there is no memory for one. */
void scrape_answer(struct scrape *scrape, struct page *page, uint64_t now_ms);
