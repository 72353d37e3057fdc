/*
 * The gate's end of the socket to its signer, and the handshakes that wait for it. A handshake is
 * left in the middle while its signature is being made: it runs as one of OpenSSL's asynchronous
 * jobs, ASYNC_start_job(3), of which there are so many as requests may be at the signer.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include <event2/event.h>

#include "ipc/signing.h"

struct signer_link;
struct signer_call;

/* A handshake, for its turn. It lives with its owner, who must not free it while it waits. All zero
 * at first. */
struct signer_waiter {
	/* Called when the handshake is to be gone on with. */
	void (*resume)(struct signer_waiter *waiter);

	/* The link's own. */
	struct signer_call *call; /* NULL: it waits for no signature */
	TAILQ_ENTRY(signer_waiter) entry;
	bool is_queued; /* for a job */
};

struct signer_events {
	/* There is a signer, or there is none until there is one again: it has hung up, or what it
	 * sent did not decode, -EPROTO. */
	void (*connected)(void *context);
	void (*lost)(void *context, int error);
	void *context;
};

/* Has no socket yet. Makes the jobs, as long as memory is to be had. Returns NULL with errno set.
 */
struct signer_link *signer_link_new(struct event_base *base, const struct signer_events *events);
/* There must be nobody left who waits. NULL is fine. */
void signer_link_free(struct signer_link *link);

/*
 * Takes a socket over, in place of the one before. What was asked and not answered is asked again:
 * no handshake need fail because a signer has died. Returns 0 or -errno; then there is none.
 */
int signer_link_connect(struct signer_link *link, int fd);

/* Before the library goes on with a handshake: for whom signer_link_sign() will be called. */
void signer_link_enter(struct signer_link *link, struct signer_waiter *waiter);

/*
 * Called by the library, in the job of the handshake that was entered: sends the request, and comes
 * back once it is answered; until then the handshake has left its caller with SSL_ERROR_WANT_ASYNC.
 * Returns 0; -EKEYREJECTED if the signer refuses; -ECANCELED; -EINVAL where there is no job.
 */
int signer_link_sign(struct signer_link *link, struct signing_request *request, uint8_t *signature,
	size_t *length);

/* All jobs are taken, SSL_ERROR_WANT_ASYNC_JOB: resume() is called when one is free. */
void signer_link_wait_for_job(struct signer_link *link, struct signer_waiter *waiter);

/* Whether it waits for a signature or for a job. */
bool signer_link_is_waiting(const struct signer_waiter *waiter);

/* This handshake waits no more. Returns true if it has to be gone on with once, now, to leave its
 * job: it will fail. */
bool signer_link_cancel(struct signer_link *link, struct signer_waiter *waiter);
