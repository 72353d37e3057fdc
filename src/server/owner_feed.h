/*
 * Who has which inner address, told to the process of the flow log (flow_link.h): what it has not
 * taken yet waits here, and one that is started is told all anew.
 */
#pragma once

struct child;
struct endpoint_list;
struct event_base;
struct owner_feed;
struct peer;

/* The endpoints are the caller's. Returns 0 or -ENOMEM. */
int owner_feed_new(
	struct event_base *base, const struct endpoint_list *endpoints, struct owner_feed **feed);
/* NULL is fine, here and below. */
void owner_feed_free(struct owner_feed *feed);

/* A peer has its inner address from now on, by the name that it has now. */
void owner_feed_began(struct owner_feed *feed, const struct peer *peer);
/* It has it no longer. */
void owner_feed_ended(struct owner_feed *feed, const struct peer *peer);

/* A process was started: it is told of all who have an address, some at a time, and of those who
 * had one lately. Returns 0 or -ENOMEM: it will not be told. */
int owner_feed_tell_all(struct owner_feed *feed, struct child *child);
/* Sends what there is room for, and the rest when there is. Before it was told all: nothing. */
void owner_feed_send(struct owner_feed *feed);
