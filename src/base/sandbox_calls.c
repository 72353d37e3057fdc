/* The list of system calls that stay allowed, and the filter made of it. Runs where sandbox.c does,
 * and after it. */
#include "base/sandbox.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <seccomp.h>

#include "base/sanitizer.h"

enum {
	MAX_CONDITIONS = 3,
};

struct call_rule {
	int call;
	unsigned int n; /* conditions on the call's arguments, all of which must hold */
	struct scmp_arg_cmp conditions[MAX_CONDITIONS];
};

/* An argument's condition: all of it, or the bits of a mask, must equal a value. */
#define IS(argument, value) SCMP_CMP64(argument, SCMP_CMP_EQ, (uint64_t)(value))
#define MASKED(argument, mask, value)                                                              \
	SCMP_CMP64(argument, SCMP_CMP_MASKED_EQ, (uint64_t)(mask), (uint64_t)(value))

/* A call that this machine does not have is as good as allowed. */
static int allow(scmp_filter_ctx filter, const struct call_rule *rule)
{
	int error = seccomp_rule_add_array(
		filter, SCMP_ACT_ALLOW, rule->call, rule->n, rule->conditions);

	return error == -EDOM ? 0 : error;
}

/* All that is done once strangers are talked to. What only happens at start is not here. */
static int add_rules(scmp_filter_ctx filter, int pass_on_socket)
{
	const struct call_rule rules[] = {
		/* connections, the process on the other side of the wall, and the log */
		{SCMP_SYS(accept4), 1, {IS(3, SOCK_NONBLOCK | SOCK_CLOEXEC)}},
		{SCMP_SYS(setsockopt), 2, {IS(1, IPPROTO_TCP), IS(2, TCP_NODELAY)}},
		{SCMP_SYS(setsockopt), 2, {IS(1, IPPROTO_TCP), IS(2, TCP_QUICKACK)}},
		{SCMP_SYS(read)},
		{SCMP_SYS(write)},
		{SCMP_SYS(poll)}, /* the log */
		{SCMP_SYS(ppoll)},
		{SCMP_SYS(recvfrom), 1, {IS(4, 0)}},
		{SCMP_SYS(sendto), 1, {IS(4, 0)}}, /* to the other end, nowhere else */
		/* A name in the message could open a connection (MSG_FASTOPEN), hence the flags. */
		{SCMP_SYS(sendmsg), 2, {IS(0, pass_on_socket), IS(2, SANDBOX_PASS_ON_FLAGS)}},
		{SCMP_SYS(close)},
		/* the event loop */
		{SCMP_SYS(epoll_wait)},
		{SCMP_SYS(epoll_pwait)},
		{SCMP_SYS(epoll_ctl)},
		/* memory, never executable */
		{SCMP_SYS(brk)},
		{SCMP_SYS(mmap), 2,
			{MASKED(2, PROT_EXEC, 0), MASKED(3, MAP_ANONYMOUS, MAP_ANONYMOUS)}},
		{SCMP_SYS(mprotect), 1, {MASKED(2, PROT_EXEC, 0)}},
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

	int error = 0;

	for (size_t i = 0; i < sizeof rules / sizeof *rules && error == 0; i++)
		if (rules[i].call != SCMP_SYS(sendmsg) || pass_on_socket >= 0)
			error = allow(filter, &rules[i]);
	return error;
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
		SCMP_SYS(stat),
		SCMP_SYS(fstat),
		SCMP_SYS(newfstatat),
		SCMP_SYS(lseek),
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
		error = allow(filter, &(struct call_rule){calls[i]});
	return error;
}
#else
static int add_sanitizer_rules(scmp_filter_ctx filter)
{
	(void)filter;
	return 0;
}
#endif

int sandbox_filter_calls(int pass_on_socket)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int error;

	if (!filter)
		return -ENOMEM;
	error = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (error == 0)
		error = add_rules(filter, pass_on_socket);
	if (error == 0)
		error = add_sanitizer_rules(filter);
	if (error == 0)
		error = seccomp_load(filter);
	seccomp_release(filter);
	return error;
}
