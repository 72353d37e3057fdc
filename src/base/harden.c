/* Takes from a process that keeps rights what it does not need. Runs in the broker and in the
 * client, at their start. */
#include "base/harden.h"

#include <errno.h>
#include <linux/sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/call_filter.h"
#include "base/log.h"
#include "base/sanitizer.h"

static bool is_listed(cap_value_t cap, const cap_value_t *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == cap)
			return true;
	return false;
}

/* What may come by execve(): as far as it may be limited, which needs CAP_SETPCAP. */
static void limit_bounding_set(const struct harden_config *config)
{
	for (cap_value_t cap = 0; CAP_IS_SUPPORTED(cap); cap++)
		if (!is_listed(cap, config->capabilities, config->n_capabilities) &&
			!is_listed(cap, config->childrens, config->n_childrens))
			prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
}

static int clear(cap_t set, cap_flag_t flag, cap_value_t cap)
{
	return cap_set_flag(set, flag, 1, &cap, CAP_CLEAR) < 0 ? -errno : 0;
}

/* What its children may have stays permitted: without new privileges, they have no more than that,
 * even as root. */
static int limit_capability(const struct harden_config *config, cap_t set, cap_value_t cap)
{
	int error;

	if (is_listed(cap, config->capabilities, config->n_capabilities))
		return 0;
	error = clear(set, CAP_EFFECTIVE, cap);
	if (error < 0 || is_listed(cap, config->childrens, config->n_childrens))
		return error;
	error = clear(set, CAP_PERMITTED, cap);
	return error < 0 ? error : clear(set, CAP_INHERITABLE, cap);
}

static int limit_capabilities(const struct harden_config *config)
{
	cap_t set = cap_get_proc();
	int error = set ? 0 : -ENOMEM;

	for (cap_value_t cap = 0; CAP_IS_SUPPORTED(cap) && error == 0; cap++)
		error = limit_capability(config, set, cap);
	if (error == 0 && cap_set_proc(set) < 0)
		error = -errno;
	if (set)
		cap_free(set);
	return error;
}

static int set_process_flags(void)
{
	static const struct rlimit none = {0, 0};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0 ||
		prctl(PR_SET_DUMPABLE, SANITIZER, 0, 0, 0) < 0)
		return -errno;
	return 0;
}

/* Not what is left to do, as in a gate: what tools do that are started, such as nft, is theirs to
 * know. */
static int refuse_calls(bool allows_bpf)
{
	static const struct filter_rule rules[] = {
		{SCMP_SYS(bpf)}, /* the first: see below */
		/* other processes' memory and files */
		{SCMP_SYS(ptrace)},
		{SCMP_SYS(process_vm_readv)},
		{SCMP_SYS(process_vm_writev)},
		{SCMP_SYS(process_madvise)},
		{SCMP_SYS(kcmp)},
		{SCMP_SYS(pidfd_getfd)},
		{SCMP_SYS(perf_event_open)},
		/* code in the kernel, and another kernel */
		{SCMP_SYS(init_module)},
		{SCMP_SYS(finit_module)},
		{SCMP_SYS(delete_module)},
		{SCMP_SYS(kexec_load)},
		{SCMP_SYS(kexec_file_load)},
		{SCMP_SYS(reboot)},
		/* the hardware, and the clock */
		{SCMP_SYS(iopl)},
		{SCMP_SYS(ioperm)},
		{SCMP_SYS(modify_ldt)},
		{SCMP_SYS(vm86)},
		{SCMP_SYS(settimeofday)},
		{SCMP_SYS(clock_settime)},
		{SCMP_SYS(adjtimex)},
		{SCMP_SYS(clock_adjtime)},
		/* mounts, namespaces, the system's settings */
		{SCMP_SYS(mount)},
		{SCMP_SYS(umount2)},
		{SCMP_SYS(pivot_root)},
		{SCMP_SYS(chroot)},
		{SCMP_SYS(move_mount)},
		{SCMP_SYS(open_tree)},
		{SCMP_SYS(fsopen)},
		{SCMP_SYS(fspick)},
		{SCMP_SYS(mount_setattr)},
		{SCMP_SYS(open_by_handle_at)},
		{SCMP_SYS(unshare)},
		{SCMP_SYS(setns)},
		{SCMP_SYS(clone), 1, {FILTER_MASKED(0, CLONE_NEWUSER, CLONE_NEWUSER)}},
		{SCMP_SYS(sethostname)},
		{SCMP_SYS(setdomainname)},
		{SCMP_SYS(swapon)},
		{SCMP_SYS(swapoff)},
		{SCMP_SYS(acct)},
		{SCMP_SYS(quotactl)},
		{SCMP_SYS(syslog)},
		/* what has had many holes, and is not used */
		{SCMP_SYS(add_key)},
		{SCMP_SYS(request_key)},
		{SCMP_SYS(keyctl)},
		{SCMP_SYS(userfaultfd)},
		{SCMP_SYS(io_uring_setup)},
		{SCMP_SYS(io_uring_enter)},
		{SCMP_SYS(io_uring_register)},
	};
	/* Its flags are in memory, which a filter cannot read. The C library does without it. */
	static const struct filter_rule unknown[] = {{SCMP_SYS(clone3)}};
	const size_t first = allows_bpf ? 1 : 0;
	int error = call_filter_load(SCMP_ACT_ALLOW, SCMP_ACT_ERRNO(EPERM), rules + first,
		sizeof rules / sizeof *rules - first);

	return error < 0 ? error
			 : call_filter_load(SCMP_ACT_ALLOW, SCMP_ACT_ERRNO(ENOSYS), unknown, 1);
}

int harden_process(const struct harden_config *config)
{
	const char *what = "limit the capabilities";
	int error;

	limit_bounding_set(config);
	error = limit_capabilities(config);
	if (error == 0) {
		what = "set process flags";
		error = set_process_flags();
	}
	if (error == 0 && !SANITIZER) {
		what = "filter system calls";
		error = refuse_calls(config->allows_bpf);
	}
	if (error < 0)
		log_error("cannot %s: %s", what, strerror(-error));
	return error;
}
