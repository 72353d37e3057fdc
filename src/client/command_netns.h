/*
 * `vprox exec`: a network namespace with nothing in it but the tunnel's interface, and a command in
 * it. The client makes it at its start, while it still has the right to, and keeps sockets of that
 * namespace; its own are the host's. Its first process is command_init.h's.
 */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <sys/types.h>

struct command_plan;
struct command_netns;
struct event_base;
struct netlink;
struct resolvers;

/* The command, or what was to become it, has ended. */
typedef void command_end_fn(void *context);
/* A signal that stops a client has come before the command was started. */
typedef void command_signal_fn(void *context, int signal);

/*
 * Makes the namespaces and their first process, which waits. Blocks the signals that are to be
 * passed on to the command; plan->mask becomes what was blocked before. The plan is not needed
 * afterwards. Returns 0 or -errno, logged.
 */
int command_netns_open(struct command_plan *plan, struct command_netns **netns);

/* From now on the callbacks are called by the event loop. Returns 0 or -errno. */
int command_netns_watch(struct command_netns *netns, struct event_base *base, command_end_fn *end,
	command_signal_fn *signalled, void *context);

/* The sockets of the namespace, which are the caller's from then on; to be asked for once. */
void command_netns_take_netlink(
	struct command_netns *netns, struct netlink **route, struct netlink **generic);
/* A raw socket for ICMP in the namespace, and one for TCP that does not block; stay their owner's.
 */
int command_netns_echo_socket(const struct command_netns *netns);
int command_netns_stream_socket(const struct command_netns *netns);
/* The process whose network namespace it is. */
pid_t command_netns_pid(const struct command_netns *netns);

/* Lets the command start, unless it has. Returns 0 or -errno. */
int command_netns_start(struct command_netns *netns, const struct resolvers *resolvers);

bool command_netns_is_started(const struct command_netns *netns);

/* The exit status of the command, once it has ended or the netns was closed: command_init.h. */
int command_netns_status(const struct command_netns *netns);

/* No more events, and whatever runs in it ends; the status stays to be asked for. NULL is fine. */
void command_netns_close(struct command_netns *netns);
/* Closes and frees. NULL is fine. */
void command_netns_free(struct command_netns *netns);
