/* Giving up everything that is not needed to talk to strangers, before their first byte is read. */
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

enum {
	/* Of sendmsg(), behind the filter. */
	SANDBOX_PASS_ON_FLAGS = MSG_NOSIGNAL | MSG_DONTWAIT,
};

/*
 * Raises the limit of open files to n, or as far as it goes; must come before the privileges go.
 * Returns the limit that holds then, or -errno.
 */
int sandbox_raise_files(unsigned int n);

/*
 * For good: user and group, supplementary groups, all capabilities (bounding and ambient ones too),
 * new privileges, core files, children, being traced; and the process dies with its parent. A
 * process that may not change its user, and has no capability, stays who it is, and this is
 * logged. Returns 0 or -errno; why is logged.
 */
int sandbox_drop_privileges(uid_t user, gid_t group);

/* This process's capabilities alone, but those of the bounding set. Returns 0, or -errno; -EPERM if
 * it has some still. */
int sandbox_drop_capabilities(void);

/*
 * From now on a process can only talk over what it has open, and wait with epoll; a system call
 * that is not on the list for that kills it: no file is opened, no socket made, no program started,
 * no memory made executable. It can pass descriptors on over one socket, with sendmsg() and
 * SANDBOX_PASS_ON_FLAGS, and be given some over it; -1: over none. Returns 0 or -errno.
 */
int sandbox_filter_calls(int descriptors_socket);

/* Likewise for a process that looks a name up, and waits with poll: it connects, sends and receives
 * by the sockets that it has. */
int sandbox_filter_calls_of_look_up(void);

/* Likewise for a process that speaks with other processes alone, and waits with poll: it accepts no
 * connection and changes none, and passes no descriptors on, but is given some over this socket. */
int sandbox_filter_calls_of_signer(int descriptors_socket);

/* Likewise for the process of the flow log: besides, it reads what comes by this other socket, and
 * asks how much of that was lost; and it takes back what it has appended to a file. */
int sandbox_filter_calls_of_flows(int descriptors_socket, int events_socket);

/* Likewise for the holder of listening sockets, which waits with poll: it accepts whoever asks for
 * them, is given descriptors and passes them on, and asks the kernel who somebody is. */
int sandbox_filter_calls_of_holder(void);

/* Likewise for the store, which waits with poll: besides, it has its files, which it opens, locks,
 * maps and renames as its user may. */
int sandbox_filter_calls_of_store(void);

/* Likewise for a process that asks servers on the network, and waits with poll: it makes
 * connections of TCP, and opens no file. */
int sandbox_filter_calls_of_asker(void);

/* Likewise for the store, where it also speaks with servers on the network: it makes connections of
 * TCP. */
int sandbox_filter_calls_of_fleet_store(void);
