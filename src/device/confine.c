/* User, capabilities and system calls of the device's two processes. Each calls it once, at its
 * start. */
#include "device/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stddef.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <linux/bpf.h>

#include "base/call_filter.h"
#include "base/log.h"
#include "base/sanitizer.h"
#include "base/user.h"

/* Of the device. Its pid is known when the list is made. */
static int filter_device_calls(void)
{
	const struct filter_rule rules[] = {
		/* the data path */
		{SCMP_SYS(read)},
		{SCMP_SYS(write)},
		{SCMP_SYS(writev)},
		{SCMP_SYS(recvmmsg)},
		{SCMP_SYS(recvmsg)},
		{SCMP_SYS(sendmsg)},
		{SCMP_SYS(sendmmsg)},
		{SCMP_SYS(epoll_wait)},
		{SCMP_SYS(epoll_pwait)},
		{SCMP_SYS(epoll_ctl)},
		{SCMP_SYS(futex)},
		{SCMP_SYS(clock_gettime)},
		/* the log */
		{SCMP_SYS(poll)},
		{SCMP_SYS(ppoll)},
		/* memory, never executable */
		{SCMP_SYS(mmap), 1, {FILTER_MASKED(2, PROT_EXEC, 0)}},
		{SCMP_SYS(mprotect), 1, {FILTER_MASKED(2, PROT_EXEC, 0)}},
		{SCMP_SYS(munmap)},
		{SCMP_SYS(mremap)},
		{SCMP_SYS(madvise)},
		{SCMP_SYS(brk)},
		/* randomness, threads, the end; signals to this process alone */
		{SCMP_SYS(getrandom)},
		{SCMP_SYS(getpid)},
		{SCMP_SYS(gettid)},
		{SCMP_SYS(tgkill), 1, {FILTER_IS(0, getpid())}},
		{SCMP_SYS(rt_sigaction)},
		{SCMP_SYS(rt_sigprocmask)},
		{SCMP_SYS(rt_sigreturn)},
		{SCMP_SYS(restart_syscall)},
		{SCMP_SYS(sched_yield)},
		{SCMP_SYS(rseq)},
		{SCMP_SYS(set_robust_list)},
		{SCMP_SYS(exit)},
		{SCMP_SYS(exit_group)},
		/* the control socket, and what comes from the helper */
		{SCMP_SYS(accept4)},
		{SCMP_SYS(shutdown)},
		{SCMP_SYS(close)},
		{SCMP_SYS(dup3)},
		{SCMP_SYS(recvfrom)},
		{SCMP_SYS(sendto)},
		{SCMP_SYS(getsockname)},
		{SCMP_SYS(getsockopt)},
		{SCMP_SYS(setsockopt)},
		/* maps that were handed over, which needs no capability */
		{SCMP_SYS(bpf), 1, {FILTER_IS(0, BPF_MAP_LOOKUP_ELEM)}},
		{SCMP_SYS(bpf), 1, {FILTER_IS(0, BPF_MAP_UPDATE_ELEM)}},
		{SCMP_SYS(bpf), 1, {FILTER_IS(0, BPF_MAP_DELETE_ELEM)}},
	};

	return call_filter_load(
		SCMP_ACT_KILL_PROCESS, SCMP_ACT_ALLOW, rules, sizeof rules / sizeof *rules);
}

static int filter_helper_calls(void)
{
	static const struct filter_rule rules[] = {
		{SCMP_SYS(recvmsg)},
		{SCMP_SYS(sendmsg)},
		{SCMP_SYS(recvfrom)},
		{SCMP_SYS(sendto)},
		{SCMP_SYS(socket)},
		{SCMP_SYS(setsockopt)},
		{SCMP_SYS(bind)},
		{SCMP_SYS(close)},
		{SCMP_SYS(lstat)},
		{SCMP_SYS(newfstatat)},
		{SCMP_SYS(unlink)},
		{SCMP_SYS(unlinkat)},
		{SCMP_SYS(bpf)},
		{SCMP_SYS(fcntl), 1, {FILTER_IS(1, F_DUPFD_CLOEXEC)}},
		{SCMP_SYS(rt_sigreturn)},
		{SCMP_SYS(restart_syscall)},
		{SCMP_SYS(exit_group)},
	};

	return call_filter_load(
		SCMP_ACT_KILL_PROCESS, SCMP_ACT_ALLOW, rules, sizeof rules / sizeof *rules);
}

/* Keys are in its memory: no other process may read it, and it must not end in a file. */
static int hide_memory(void)
{
	static const struct rlimit none = {0, 0};

	if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_DUMPABLE, SANITIZER, 0, 0, 0) < 0)
		return -errno;
	return 0;
}

/* As far as it may: that needs CAP_SETPCAP. */
static void drop_bounding_set(void)
{
	for (cap_value_t c = 0; c <= CAP_LAST_CAP; c++)
		prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
}

/* Keeps those of n capabilities that the process has. */
static int keep_capabilities(const cap_value_t *values, int n)
{
	cap_t had = cap_get_proc(), keep = cap_init();
	int error = had && keep ? 0 : -ENOMEM;

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

/* Whoever starts a device without the right to change the user is who he is, and not root. */
static int change_user(const struct user *user)
{
	if (setgroups(0, NULL) == 0 && setresgid(user->group, user->group, user->group) == 0 &&
		setresuid(user->id, user->id, user->id) == 0)
		return 0;
	if (errno != EPERM)
		return -errno;
	if (geteuid() == 0)
		log_warning("no right to change the user: the device runs as root, "
			    "though without capabilities");
	return 0;
}

int confine_privileges(const struct user *user)
{
	int error;

	drop_bounding_set();
	error = change_user(user);
	return error < 0 ? error : keep_capabilities(NULL, 0);
}

int confine_device(void)
{
	int error = hide_memory();

	return error < 0 || SANITIZER ? error : filter_device_calls();
}

int confine_privileged_helper(void)
{
	static const cap_value_t keep[] = {
		CAP_NET_ADMIN, CAP_NET_RAW, CAP_NET_BIND_SERVICE, CAP_DAC_OVERRIDE, CAP_BPF};
	int error;

	drop_bounding_set();
	error = keep_capabilities(keep, sizeof keep / sizeof *keep);
	if (error == 0)
		error = hide_memory();
	return error < 0 || SANITIZER ? error : filter_helper_calls();
}
