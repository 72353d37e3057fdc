/*
 * A netlink socket: sends requests and reads every acknowledgement, reads dumps to their end. It
 * blocks until the kernel has answered. Not safe to use from two threads.
 */
#pragma once

#include <stddef.h>

#include "netlink/request.h"

struct nlmsghdr;
struct netlink;

/* family: NETLINK_ROUTE, NETLINK_GENERIC or NETLINK_NETFILTER. Returns 0 or a negative errno. */
int netlink_open(int family, struct netlink **netlink);
/* NULL is fine. */
void netlink_close(struct netlink *netlink);

/* The kernel's text (extended acknowledgement) about the first request that failed in the last
 * call; "" if there was none. */
const char *netlink_error(const struct netlink *netlink);

/* Overwrites what was received last: for answers that hold secrets. */
void netlink_wipe(struct netlink *netlink);

/* A message in answer to the request's message of that number (0 is the first). The message is
 * valid during the call. A negative result becomes that of the call that was made. */
typedef int netlink_reply_fn(void *context, size_t number, const struct nlmsghdr *message);

/*
 * Sends all messages of the request together and reads an acknowledgement of each: the kernel works
 * on them in order, also on those after one that failed. errors[i], if errors is not NULL, becomes
 * the i-th one's 0 or negative errno. reply may be NULL.
 *
 * Returns 0 if all succeeded, else the first message's error that did not; -EMSGSIZE if the request
 * did not fit its buffer (nothing was sent), -ETIMEDOUT or -ENOBUFS if acknowledgements are
 * missing. Of a message that no answer is expected to (netlink_expect_no_answer()) an error is that
 * of all.
 */
int netlink_transact(struct netlink *netlink, struct netlink_request *request, int *errors,
	netlink_reply_fn *reply, void *context);

/* netlink_transact() for those who need no more than the first error. */
int netlink_execute(struct netlink *netlink, struct netlink_request *request);

/*
 * Sends the request's one message as a dump and hands over all messages of the answer. -EINTR: what
 * is dumped changed meanwhile, so that messages may be missing or doubled; the whole answer was
 * handed over all the same.
 */
int netlink_dump(struct netlink *netlink, struct netlink_request *request, netlink_reply_fn *reply,
	void *context);

/*
 * Likewise, in pieces, for who has others to serve in between: the kernel makes each when the one
 * before is read. Nothing else may be asked over the socket until the end. That what is dumped
 * changes meanwhile is no error here.
 */
int netlink_dump_begin(struct netlink *netlink, struct netlink_request *request);
/* Reads one piece, of 32 KiB at the most; it is there when the descriptor is readable, else this
 * waits. Returns 1 if there is more, 0 at the end, or a negative errno. */
int netlink_dump_next(struct netlink *netlink, netlink_reply_fn *reply, void *context);
int netlink_fd(const struct netlink *netlink);

/*
 * Decodes a message of a dump into an item. Returns 1 to keep the item, 0 to leave it out, or a
 * negative errno.
 */
typedef int netlink_decode_fn(const struct nlmsghdr *message, const void *filter, void *item);

/*
 * Dumps into an array of items, which the caller frees; NULL if there are none. A dump that was
 * interrupted is made again, NETLINK_DUMP_TRIES times, then -EINTR.
 */
enum { NETLINK_DUMP_TRIES = 20 };
int netlink_dump_items(struct netlink *netlink, struct netlink_request *request,
	netlink_decode_fn *decode, const void *filter, size_t item_size, void **items, size_t *n);
