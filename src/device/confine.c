/* Capabilities and system calls of the device's two processes. Each calls it once, at its start. */
#include "device/confine.h"

#include <errno.h>
#include <stddef.h>
#include <sys/capability.h>
#include <sys/prctl.h>

#include <seccomp.h>

/* Sanitizers have system calls of their own: a build for tests runs without the filter. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static const int device_calls[] = {
	/* the data path */
	SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(recvmmsg), SCMP_SYS(recvmsg),
	SCMP_SYS(sendmsg), SCMP_SYS(sendmmsg), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_ctl), SCMP_SYS(futex), SCMP_SYS(clock_gettime), SCMP_SYS(poll),
	SCMP_SYS(ppoll), /* the log */
	/* memory, randomness, threads, the end */
	SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(mprotect), SCMP_SYS(madvise),
	SCMP_SYS(brk), SCMP_SYS(getrandom), SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(tgkill),
	SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
	SCMP_SYS(restart_syscall), SCMP_SYS(sched_yield), SCMP_SYS(rseq), SCMP_SYS(set_robust_list),
	SCMP_SYS(exit), SCMP_SYS(exit_group),
	/* the control socket, and what comes from the helper */
	SCMP_SYS(accept4), SCMP_SYS(close), SCMP_SYS(dup3), SCMP_SYS(fcntl), SCMP_SYS(recvfrom),
	SCMP_SYS(sendto), SCMP_SYS(getsockname), SCMP_SYS(getsockopt), SCMP_SYS(setsockopt),
	SCMP_SYS(bpf), /* without a capability: maps that were handed over */
};

static const int helper_calls[] = {
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendmsg),
	SCMP_SYS(recvfrom),
	SCMP_SYS(sendto),
	SCMP_SYS(socket),
	SCMP_SYS(setsockopt),
	SCMP_SYS(bind),
	SCMP_SYS(close),
	SCMP_SYS(lstat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(unlink),
	SCMP_SYS(unlinkat),
	SCMP_SYS(bpf),
	SCMP_SYS(fcntl),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(exit_group),
};

static int load_filter(const int *calls, size_t n)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int error;

	if (!filter)
		return -ENOMEM;
	error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	for (size_t i = 0; i < n && error == 0; i++)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
	if (error == 0)
		error = seccomp_load(filter);
	seccomp_release(filter);
	return error;
}

/* Keeps those of n capabilities that the process has. */
static int keep_capabilities(const cap_value_t *values, int n)
{
	cap_t had = cap_get_proc(), keep = cap_init();
	int error = had && keep ? 0 : -ENOMEM;

	for (cap_value_t c = 0; c <= CAP_LAST_CAP; c++)
		prctl(PR_CAPBSET_DROP, c, 0, 0, 0); /* best effort: needs CAP_SETPCAP */
	for (int i = 0; i < n && error == 0; i++) {
		cap_flag_value_t has = CAP_CLEAR;

		if (cap_get_flag(had, values[i], CAP_PERMITTED, &has) < 0 ||
			cap_set_flag(keep, CAP_PERMITTED, 1, &values[i], has) < 0 ||
			cap_set_flag(keep, CAP_EFFECTIVE, 1, &values[i], has) < 0)
			error = -errno;
	}
	if (error == 0 && cap_set_proc(keep) < 0)
		error = -errno;
	if (had)
		cap_free(had);
	if (keep)
		cap_free(keep);
	if (error == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		error = -errno;
	return error;
}

int confine_privileges(void)
{
	return keep_capabilities(NULL, 0);
}

int confine_device(void)
{
	/* no other process may read the keys */
	if (prctl(PR_SET_DUMPABLE, SANITIZED, 0, 0, 0) < 0)
		return -errno;
	return SANITIZED ? 0
			 : load_filter(device_calls, sizeof device_calls / sizeof *device_calls);
}

int confine_privileged_helper(void)
{
	static const cap_value_t keep[] = {
		CAP_NET_ADMIN, CAP_NET_RAW, CAP_NET_BIND_SERVICE, CAP_DAC_OVERRIDE, CAP_BPF};
	int error = keep_capabilities(keep, sizeof keep / sizeof *keep);

	return error < 0 || SANITIZED
		       ? error
		       : load_filter(helper_calls, sizeof helper_calls / sizeof *helper_calls);
}
