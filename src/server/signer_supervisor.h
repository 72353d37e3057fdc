/* Starts the signers, replaces those that die or hang, and joins each gate with its signer by a
 * socket. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "ipc/signing.h"

struct child;
struct event_base;
struct signer_supervisor;

struct signer_supervisor_config {
	unsigned int n_gates;
	bool key_is_fast; /* then many gates share a signer; else each has its own */
	int key_fd; /* the private key, a sealed memfd; the caller's, as long as the supervisor
		       lives */
	struct signer_config settings; /* what each is told; the number is filled in here */
	/* A gate's end of a new socket to its signer, in place of the one before; it is closed
	 * after this. */
	void (*on_socket)(void *context, unsigned int gate, int fd);
	/* Its signer does not serve this gate any more, for what it has done: it is to be ended. */
	void (*on_dropped)(void *context, unsigned int gate, int error);
	void *context;
};

/* Starts them. Returns 0 or -errno, and logs why. */
int signer_supervisor_new(struct event_base *base, const struct signer_supervisor_config *config,
	struct signer_supervisor **supervisor);

/* A gate was started: leads to on_socket(), now or as soon as its signer serves. */
void signer_supervisor_connect(struct signer_supervisor *supervisor, unsigned int gate);

unsigned int signer_supervisor_count(const struct signer_supervisor *supervisor);
/* A signer as it is now; number from 0. */
const struct child *signer_supervisor_get(
	const struct signer_supervisor *supervisor, unsigned int number);

/* Ends them, waits for them and frees. NULL is fine. */
void signer_supervisor_free(struct signer_supervisor *supervisor);
