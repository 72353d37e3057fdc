/* Processes of this program that the broker starts, each with a socket to it, and starts again when
 * they end: what the supervisors of the various kinds have in common. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "server/spawn.h"

struct child_group;
struct event_base;

enum {
	CHILD_FD_BROKER =
		SPAWN_FD_FIRST, /* the descriptor that a child finds its socket at; others follow */
	CHILD_NAME_SIZE = 24,
	/* A child that lived shorter than this is replaced only after the same time, lest a fault
	   keeps the host busy. */
	CHILD_RESPAWN_DELAY_MS = 1000,
};

struct child {
	char name[CHILD_NAME_SIZE]; /* "gate 0", for the log */
	unsigned int number; /* in its group, from 0 */
	uint64_t generation; /* counts the processes that had this number */
	pid_t pid; /* 0: none is running */
	int fd; /* SOCK_SEQPACKET, non-blocking; -1: it has hung up, or is not started */
	bool is_ready; /* its supervisor's: it has told that it serves */
	uint64_t started_ms; /* by the system's clock */

	/* The group's own. */
	struct child_group *group;
	struct event *readable, *resume, *respawn;
};

struct child_group_config {
	const char
		*command; /* what they are to be: vprox COMMAND, of those that are not for people */
	const char *program; /* NULL: this one; else the path of another, which has no COMMAND */
	unsigned int n;
	/* Starts one, with child_spawn(). Returns 0 or -errno; it is tried again. */
	int (*start)(void *context, struct child *child);
	/* There is a packet to be read from its socket, or the end. */
	void (*readable)(void *context, struct child *child);
	/* It has ended, and its socket is closed. NULL is fine. */
	void (*ended)(void *context, struct child *child);
	void *context;
};

/* Starts them all. Returns 0 or -errno. */
int child_group_new(struct event_base *base, const struct child_group_config *config,
	struct child_group **group);
struct child *child_group_get(struct child_group *group, unsigned int number);
/* None is replaced any more. */
void child_group_retire(struct child_group *group);
bool child_group_is_retired(const struct child_group *group);
bool child_group_is_running(const struct child_group *group);
/* Ends those that are still there, waits for them (process_reap()) and frees. NULL is fine. */
void child_group_free(struct child_group *group);

/*
 * To be called by start(): makes the socket, and a process that has, besides 0 to 2, its end of it
 * at CHILD_FD_BROKER, and copies of the n descriptors at the numbers after it. They stay the
 * caller's. Returns 0 or -errno.
 */
int child_spawn(struct child *child, const int *descriptors, size_t n);

/* Reads nothing from its socket for so long. */
void child_pause(struct child *child, unsigned int ms);

/* It has hung up, says the socket (packet_is_hung_up()). Closes it; the child is replaced once it
 * has ended, and ended if it does not by itself. */
void child_hang_up(struct child *child);

/*
 * Before the event loop runs: waits for the end of one that has hung up, at the most for so long,
 * and starts it again. Returns 0 or -errno: then the event loop does that.
 */
int child_start_again(struct child *child, unsigned int timeout_ms);

/* Ends a child that breaks the rules, at once, and logs why. */
void child_expel(struct child *child, const char *what, int error);

/*
 * To be called by readable() where no packet could be read, or none that is good: with -errno. One
 * that has hung up is closed (child_hang_up()); one that has just nothing to say, -EAGAIN or
 * -EINTR, goes on; any other is expelled.
 */
void child_read_failed(struct child *child, const char *what, int error);
