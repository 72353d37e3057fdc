/* The list of system calls that stay allowed, and the filter made of it. Runs where sandbox.c does,
 * and after it. */
#include "base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/call_filter.h"
#include "base/sanitizer.h"

/* Of every process. What only happens at start is not here. */
static int add_common_rules(scmp_filter_ctx filter)
{
	const struct filter_rule rules[] = {
		/* the other processes, and the log, which is asked whether it has room */
		{SCMP_SYS(write)},
		{SCMP_SYS(poll)},
		{SCMP_SYS(ppoll)},
		{SCMP_SYS(recvfrom), 1, {FILTER_IS(4, 0)}},
		{SCMP_SYS(sendto), 1, {FILTER_IS(4, 0)}}, /* to the other end, nowhere else */
		{SCMP_SYS(close)},
		/* memory, never executable */
		{SCMP_SYS(brk)},
		{SCMP_SYS(mmap), 2,
			{FILTER_MASKED(2, PROT_EXEC, 0),
				FILTER_MASKED(3, MAP_ANONYMOUS, MAP_ANONYMOUS)}},
		{SCMP_SYS(mprotect), 1, {FILTER_MASKED(2, PROT_EXEC, 0)}},
		{SCMP_SYS(mremap)},
		{SCMP_SYS(munmap)},
		{SCMP_SYS(madvise)},
		/* time, where the vdso cannot tell, and randomness */
		{SCMP_SYS(clock_gettime)},
		{SCMP_SYS(gettimeofday)},
		{SCMP_SYS(time)},
		{SCMP_SYS(getrandom)},
		/* the libraries: whether the process has forked, and their locks */
		{SCMP_SYS(getpid)},
		{SCMP_SYS(futex)},
		{SCMP_SYS(restart_syscall)},
		{SCMP_SYS(rt_sigreturn)},
		{SCMP_SYS(exit)},
		{SCMP_SYS(exit_group)},
	};

	return call_filter_add(filter, SCMP_ACT_ALLOW, rules, sizeof rules / sizeof *rules);
}

/* All that is done once strangers are talked to. */
static int add_network_rules(scmp_filter_ctx filter)
{
	const struct filter_rule rules[] = {
		/* connections */
		{SCMP_SYS(accept4), 1, {FILTER_IS(3, SOCK_NONBLOCK | SOCK_CLOEXEC)}},
		{SCMP_SYS(setsockopt), 2, {FILTER_IS(1, IPPROTO_TCP), FILTER_IS(2, TCP_NODELAY)}},
		{SCMP_SYS(setsockopt), 2, {FILTER_IS(1, IPPROTO_TCP), FILTER_IS(2, TCP_QUICKACK)}},
		{SCMP_SYS(setsockopt), 2, {FILTER_IS(1, SOL_SOCKET), FILTER_IS(2, SO_RCVLOWAT)}},
		{SCMP_SYS(read)},
		/* a file in memory that the broker passes: its place is shared by all who have it
		 */
		{SCMP_SYS(pread64)},
		/* the event loop */
		{SCMP_SYS(epoll_wait)},
		{SCMP_SYS(epoll_pwait)},
		{SCMP_SYS(epoll_ctl)},
		/* setcontext(3): a handshake is left that waits for its signature */
		{SCMP_SYS(rt_sigprocmask)},
	};

	return call_filter_add(filter, SCMP_ACT_ALLOW, rules, sizeof rules / sizeof *rules);
}

/* What SQLite does with files, and maps of them that hold no code: sqlite.org/wal.html. */
static int add_file_rules(scmp_filter_ctx filter)
{
	const struct filter_rule rules[] = {
		{SCMP_SYS(open)},
		{SCMP_SYS(openat)},
		{SCMP_SYS(read)},
		{SCMP_SYS(pread64)},
		{SCMP_SYS(pwrite64)},
		{SCMP_SYS(lseek)},
		{SCMP_SYS(fsync)},
		{SCMP_SYS(fdatasync)},
		{SCMP_SYS(ftruncate)},
		{SCMP_SYS(fcntl)}, /* locks */
		{SCMP_SYS(stat)},
		{SCMP_SYS(lstat)},
		{SCMP_SYS(fstat)},
		{SCMP_SYS(newfstatat)},
		{SCMP_SYS(access)},
		{SCMP_SYS(faccessat)},
		{SCMP_SYS(faccessat2)},
		{SCMP_SYS(unlink)},
		{SCMP_SYS(unlinkat)},
		{SCMP_SYS(rename)},
		{SCMP_SYS(renameat)},
		{SCMP_SYS(renameat2)},
		{SCMP_SYS(geteuid)},
		/* what it makes beside a file has the file's mode and owner */
		{SCMP_SYS(fchmod)},
		{SCMP_SYS(fchown)},
		{SCMP_SYS(mmap), 1, {FILTER_MASKED(2, PROT_EXEC, 0)}},
		/* waiting for a lock */
		{SCMP_SYS(nanosleep)},
		{SCMP_SYS(clock_nanosleep)},
	};

	return call_filter_add(filter, SCMP_ACT_ALLOW, rules, sizeof rules / sizeof *rules);
}

/* What libcurl, or http/exchange.c, does to speak with a server whose address it has been told. */
static int add_connection_rules(scmp_filter_ctx filter)
{
	const struct filter_rule rules[] = {
		{SCMP_SYS(socket), 2, {FILTER_IS(0, AF_INET), FILTER_MASKED(1, 0xf, SOCK_STREAM)}},
		{SCMP_SYS(socket), 2, {FILTER_IS(0, AF_INET6), FILTER_MASKED(1, 0xf, SOCK_STREAM)}},
		{SCMP_SYS(connect)},
		{SCMP_SYS(getsockname)},
		{SCMP_SYS(getpeername)},
		{SCMP_SYS(getsockopt)},
		{SCMP_SYS(setsockopt), 1, {FILTER_IS(1, IPPROTO_TCP)}},
		{SCMP_SYS(setsockopt), 1, {FILTER_IS(1, SOL_SOCKET)}},
		{SCMP_SYS(ioctl), 1, {FILTER_IS(1, FIONBIO)}},
		{SCMP_SYS(writev)},
		{SCMP_SYS(rt_sigaction)},
		{SCMP_SYS(rt_sigprocmask)},
	};

	return call_filter_add(filter, SCMP_ACT_ALLOW, rules, sizeof rules / sizeof *rules);
}

/* Other processes' descriptors, from one socket. */
static int allow_descriptors_from(scmp_filter_ctx filter, int socket)
{
	const struct filter_rule rule = {SCMP_SYS(recvmsg), 1, {FILTER_IS(0, socket)}};

	return call_filter_add(filter, SCMP_ACT_ALLOW, &rule, 1);
}

/* A name in the message could open a connection (MSG_FASTOPEN), hence the flags. */
static int allow_descriptors_to(scmp_filter_ctx filter, int socket)
{
	const struct filter_rule rule = {
		SCMP_SYS(sendmsg), 2, {FILTER_IS(0, socket), FILTER_IS(2, SANDBOX_PASS_ON_FLAGS)}};

	return call_filter_add(filter, SCMP_ACT_ALLOW, &rule, 1);
}

#if SANITIZER
static int add_sanitizer_rules(scmp_filter_ctx filter)
{
	static const int calls[] = {
		/* the allocator and the shadow memory */
		SCMP_SYS(mmap),
		SCMP_SYS(mprotect),
		SCMP_SYS(sched_yield),
		SCMP_SYS(sigaltstack),
		SCMP_SYS(rt_sigaction),
		SCMP_SYS(rt_sigprocmask),
		SCMP_SYS(getrlimit),
		SCMP_SYS(prlimit64),
		/* reports: symbols, the map of memory, colours */
		SCMP_SYS(open),
		SCMP_SYS(openat),
		SCMP_SYS(readlink),
		SCMP_SYS(readlinkat),
		SCMP_SYS(stat),
		SCMP_SYS(fstat),
		SCMP_SYS(newfstatat),
		SCMP_SYS(lseek),
		SCMP_SYS(read),
		SCMP_SYS(pread64),
		SCMP_SYS(ioctl),
		SCMP_SYS(getdents),
		SCMP_SYS(getdents64),
		SCMP_SYS(access),
		SCMP_SYS(getuid),
		SCMP_SYS(geteuid),
		SCMP_SYS(getgid),
		SCMP_SYS(getegid),
		SCMP_SYS(gettid),
		SCMP_SYS(getppid),
		SCMP_SYS(tgkill),
		SCMP_SYS(kill),
		SCMP_SYS(uname),
		SCMP_SYS(fcntl),
		SCMP_SYS(dup),
		SCMP_SYS(dup2),
		SCMP_SYS(dup3),
		SCMP_SYS(sched_getaffinity),
		/* the task that looks for leaks */
		SCMP_SYS(clone),
		SCMP_SYS(prctl),
		SCMP_SYS(ptrace),
		SCMP_SYS(wait4),
		SCMP_SYS(process_vm_readv),
		SCMP_SYS(pipe),
		SCMP_SYS(pipe2),
		SCMP_SYS(nanosleep),
		SCMP_SYS(clock_nanosleep),
		SCMP_SYS(set_robust_list),
		SCMP_SYS(rseq),
	};

	int error = 0;

	for (size_t i = 0; i < sizeof calls / sizeof *calls && error == 0; i++)
		error = call_filter_add(filter, SCMP_ACT_ALLOW, &(struct filter_rule){calls[i]}, 1);
	return error;
}
#else
static int add_sanitizer_rules(scmp_filter_ctx filter)
{
	(void)filter;
	return 0;
}
#endif

/* To which a process adds what it alone needs, before it is loaded. Returns NULL on failure. */
static scmp_filter_ctx new_filter(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);

	if (!filter)
		return NULL;
	if (seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) == 0 &&
		add_common_rules(filter) == 0 && add_sanitizer_rules(filter) == 0)
		return filter;
	seccomp_release(filter);
	return NULL;
}

static int load(scmp_filter_ctx filter, int error)
{
	if (error == 0)
		error = seccomp_load(filter);
	seccomp_release(filter);
	return error;
}

int sandbox_filter_calls(int descriptors_socket)
{
	scmp_filter_ctx filter = new_filter();
	int error = filter ? add_network_rules(filter) : -ENOMEM;

	if (error == 0 && descriptors_socket >= 0)
		error = allow_descriptors_from(filter, descriptors_socket);
	if (error == 0 && descriptors_socket >= 0)
		error = allow_descriptors_to(filter, descriptors_socket);
	return filter ? load(filter, error) : error;
}

/* What c-ares does with sockets that it is given. */
static int add_look_up_rules(scmp_filter_ctx filter)
{
	const struct filter_rule rules[] = {
		{SCMP_SYS(connect)},
		{SCMP_SYS(sendmsg), 1, {FILTER_IS(2, MSG_NOSIGNAL)}},
		{SCMP_SYS(recvfrom)},
	};

	return call_filter_add(filter, SCMP_ACT_ALLOW, rules, sizeof rules / sizeof *rules);
}

int sandbox_filter_calls_of_look_up(void)
{
	scmp_filter_ctx filter = new_filter();

	return filter ? load(filter, add_look_up_rules(filter)) : -ENOMEM;
}

int sandbox_filter_calls_of_signer(int descriptors_socket)
{
	scmp_filter_ctx filter = new_filter();

	return filter ? load(filter, allow_descriptors_from(filter, descriptors_socket)) : -ENOMEM;
}

/* base/line_file.h, netlink/conntrack_events.h. Who has sent is asked for, hence the first rule. */
static int add_flows_rules(scmp_filter_ctx filter, int events_socket)
{
	const struct filter_rule rules[] = {
		{SCMP_SYS(recvfrom), 1, {FILTER_IS(0, events_socket)}},
		{SCMP_SYS(getsockopt), 2, {FILTER_IS(1, SOL_SOCKET), FILTER_IS(2, SO_MEMINFO)}},
		{SCMP_SYS(lseek)},
		{SCMP_SYS(ftruncate)},
		{SCMP_SYS(fstat)},
		{SCMP_SYS(newfstatat), 1, {FILTER_IS(3, AT_EMPTY_PATH)}},
	};

	return call_filter_add(filter, SCMP_ACT_ALLOW, rules, sizeof rules / sizeof *rules);
}

int sandbox_filter_calls_of_flows(int descriptors_socket, int events_socket)
{
	scmp_filter_ctx filter = new_filter();
	int error = filter ? add_flows_rules(filter, events_socket) : -ENOMEM;

	if (error == 0)
		error = allow_descriptors_from(filter, descriptors_socket);
	if (error == 0)
		error = allow_descriptors_to(filter, descriptors_socket);
	return filter ? load(filter, error) : error;
}

/* Other servers come and go: any socket it has may be theirs. */
static int add_holder_rules(scmp_filter_ctx filter)
{
	const struct filter_rule rules[] = {
		{SCMP_SYS(accept4), 1, {FILTER_IS(3, SOCK_NONBLOCK | SOCK_CLOEXEC)}},
		{SCMP_SYS(getsockopt), 2, {FILTER_IS(1, SOL_SOCKET), FILTER_IS(2, SO_PEERCRED)}},
		{SCMP_SYS(recvmsg)},
		{SCMP_SYS(sendmsg), 1, {FILTER_IS(2, SANDBOX_PASS_ON_FLAGS)}},
	};

	return call_filter_add(filter, SCMP_ACT_ALLOW, rules, sizeof rules / sizeof *rules);
}

int sandbox_filter_calls_of_holder(void)
{
	scmp_filter_ctx filter = new_filter();

	return filter ? load(filter, add_holder_rules(filter)) : -ENOMEM;
}

int sandbox_filter_calls_of_store(void)
{
	scmp_filter_ctx filter = new_filter();

	return filter ? load(filter, add_file_rules(filter)) : -ENOMEM;
}

int sandbox_filter_calls_of_fleet_store(void)
{
	scmp_filter_ctx filter = new_filter();
	int error = filter ? add_file_rules(filter) : -ENOMEM;

	if (error == 0)
		error = add_connection_rules(filter);
	return filter ? load(filter, error) : error;
}

int sandbox_filter_calls_of_asker(void)
{
	const struct filter_rule rule = {SCMP_SYS(read)};
	scmp_filter_ctx filter = new_filter();
	int error = filter ? add_connection_rules(filter) : -ENOMEM;

	if (error == 0)
		error = call_filter_add(filter, SCMP_ACT_ALLOW, &rule, 1);
	return filter ? load(filter, error) : error;
}
