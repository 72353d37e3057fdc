/* The filters of system calls, as they are made for the machine that the test is built for: what
 * libc asks with there must pass, and it has not the calls that x86 has. The kernel's part, running
 * the filter's program, is done here, so that nothing dies. */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>
#include <seccomp.h>

#include "base/sandbox.h"
#include "base/sanitizer.h"

enum {
	PROGRAM_MAX = 4096, /* instructions: the kernel takes no more */
	DESCRIPTORS_SOCKET = 7,
	EVENTS_SOCKET = 8,
};

/* The filter that was loaded last. */
static struct sock_filter program[PROGRAM_MAX];
static size_t program_length;

int __wrap_seccomp_load(const scmp_filter_ctx filter);

/* In place of the library's, by the linker's --wrap. */
int __wrap_seccomp_load(const scmp_filter_ctx filter)
{
	int file = memfd_create("filter", MFD_CLOEXEC);
	ssize_t size;

	assert_true(file >= 0);
	assert_int_equal(seccomp_export_bpf(filter, file), 0);
	size = pread(file, program, sizeof program, 0);
	assert_true(size > 0);
	program_length = (size_t)size / sizeof *program;
	close(file);
	return 0;
}

static bool jumps(const struct sock_filter *step, uint32_t accumulator)
{
	switch (BPF_OP(step->code)) {
	case BPF_JEQ:
		return accumulator == step->k;
	case BPF_JGT:
		return accumulator > step->k;
	case BPF_JGE:
		return accumulator >= step->k;
	default:
		assert_int_equal(BPF_OP(step->code), BPF_JSET);
		return accumulator & step->k;
	}
}

/* What the kernel would do with a call: SECCOMP_RET_..., by bpf(4) of what libseccomp makes. */
static uint32_t verdict(const struct seccomp_data *data)
{
	uint32_t accumulator = 0;

	for (size_t at = 0; at < program_length; at++) {
		const struct sock_filter *step = &program[at];

		switch (BPF_CLASS(step->code)) {
		case BPF_LD:
			assert_true(step->k <= sizeof *data - sizeof accumulator);
			memcpy(&accumulator, (const char *)data + step->k, sizeof accumulator);
			break;
		case BPF_ALU:
			assert_int_equal(step->code, BPF_ALU | BPF_AND | BPF_K);
			accumulator &= step->k;
			break;
		case BPF_JMP:
			if (BPF_OP(step->code) == BPF_JA)
				at += step->k;
			else
				at += jumps(step, accumulator) ? step->jt : step->jf;
			break;
		default:
			assert_int_equal(step->code, BPF_RET | BPF_K);
			return step->k;
		}
	}
	fail_msg("the filter has no end");
	return 0;
}

/* Of the first arguments; the others are 0. */
static bool passes(long call, uint64_t first, uint64_t second, uint64_t third, uint64_t fourth)
{
	const struct seccomp_data data = {
		.nr = (int)call,
		.arch = seccomp_arch_native(),
		.args = {first, second, third, fourth},
	};

	return verdict(&data) == SECCOMP_RET_ALLOW;
}

static bool passes_all(const long *calls, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!passes(calls[i], 0, 0, 0, 0)) {
			print_message("call %ld does not pass\n", calls[i]);
			return false;
		}
	return true;
}

static bool passes_any(const long *calls, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (passes(calls[i], 0, 0, 0, 0)) {
			print_message("call %ld passes\n", calls[i]);
			return true;
		}
	return false;
}

#define COUNT(list) (sizeof(list) / sizeof *(list))

/* Of every machine that Linux is on since 2011: asm-generic/unistd.h. An older name of them is what
 * some have besides. */
static const long of_all[] = {SYS_write, SYS_ppoll, SYS_close, SYS_munmap, SYS_madvise,
	SYS_clock_gettime, SYS_getrandom, SYS_futex, SYS_exit_group, SYS_recvfrom, SYS_sendto};
static const long of_nobody[] = {SYS_execve, SYS_execveat, SYS_bind, SYS_listen, SYS_setns,
	SYS_unshare, SYS_mount, SYS_bpf, SYS_init_module, SYS_io_uring_setup};
static const long of_files[] = {SYS_openat, SYS_newfstatat, SYS_faccessat, SYS_unlinkat,
	SYS_renameat2, SYS_pread64, SYS_pwrite64, SYS_lseek, SYS_fsync, SYS_fdatasync,
	SYS_ftruncate, SYS_fcntl, SYS_fchmod, SYS_fchown, SYS_clock_nanosleep, SYS_geteuid};
static const long of_connections[] = {
	SYS_connect, SYS_getsockname, SYS_getpeername, SYS_getsockopt, SYS_writev};

static bool keeps_files_out(void)
{
	/* A sanitizer reads files for its reports. */
	return SANITIZER ||
	       !passes_any((const long[]){SYS_openat, SYS_newfstatat, SYS_unlinkat}, 3);
}

static bool keeps_the_network_out(void)
{
	return !passes(SYS_socket, AF_INET, SOCK_STREAM, 0, 0) && !passes(SYS_connect, 0, 0, 0, 0);
}

static bool is_as_in_every_process(void)
{
	return passes_all(of_all, COUNT(of_all)) && !passes_any(of_nobody, COUNT(of_nobody));
}

static void a_gate_talks_over_what_it_has_open(void **state)
{
	static const long calls[] = {SYS_epoll_pwait, SYS_epoll_ctl, SYS_read, SYS_pread64};

	(void)state;
	assert_int_equal(sandbox_filter_calls(DESCRIPTORS_SOCKET), 0);
	assert_true(is_as_in_every_process());
	assert_true(passes_all(calls, COUNT(calls)));
	assert_true(passes(SYS_accept4, 3, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC));
	assert_true(passes(SYS_recvmsg, DESCRIPTORS_SOCKET, 0, 0, 0));
	assert_false(passes(SYS_recvmsg, DESCRIPTORS_SOCKET + 1, 0, 0, 0));
	assert_true(passes(SYS_sendmsg, DESCRIPTORS_SOCKET, 0, SANDBOX_PASS_ON_FLAGS, 0));
	assert_false(passes(SYS_sendmsg, DESCRIPTORS_SOCKET, 0, MSG_FASTOPEN, 0));
	assert_true(keeps_files_out());
	assert_true(keeps_the_network_out());
}

static void memory_never_becomes_code(void **state)
{
	(void)state;
	assert_int_equal(sandbox_filter_calls(-1), 0);
	assert_true(passes(SYS_mprotect, 0, 0, PROT_READ | PROT_WRITE, 0));
	assert_true(passes(SYS_mmap, 0, 0, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE));
	if (!SANITIZER) {
		assert_false(passes(SYS_mprotect, 0, 0, PROT_READ | PROT_EXEC, 0));
		assert_false(passes(SYS_mmap, 0, 0, PROT_READ | PROT_EXEC, MAP_ANONYMOUS));
	}
}

static void a_look_up_uses_the_sockets_that_it_has(void **state)
{
	(void)state;
	assert_int_equal(sandbox_filter_calls_of_look_up(), 0);
	assert_true(is_as_in_every_process());
	assert_true(passes(SYS_connect, 0, 0, 0, 0));
	assert_true(passes(SYS_sendmsg, 0, 0, MSG_NOSIGNAL, 0));
	assert_false(passes(SYS_socket, AF_INET, SOCK_DGRAM, 0, 0));
	assert_true(keeps_files_out());
}

static void a_signer_and_a_holder_speak_with_other_processes_alone(void **state)
{
	(void)state;
	assert_int_equal(sandbox_filter_calls_of_signer(DESCRIPTORS_SOCKET), 0);
	assert_true(is_as_in_every_process());
	assert_true(passes(SYS_recvmsg, DESCRIPTORS_SOCKET, 0, 0, 0));
	assert_false(passes(SYS_accept4, 3, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC));
	assert_true(keeps_files_out());
	assert_true(keeps_the_network_out());

	assert_int_equal(sandbox_filter_calls_of_holder(), 0);
	assert_true(is_as_in_every_process());
	assert_true(passes(SYS_accept4, 3, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC));
	assert_true(keeps_files_out());
	assert_true(keeps_the_network_out());
}

/* Who has sent a packet is asked for of one socket alone. */
static bool may_ask_who_sent_by(int socket)
{
	const struct seccomp_data data = {
		.nr = SYS_recvfrom,
		.arch = seccomp_arch_native(),
		.args = {(uint64_t)socket, 0, 0, 0, 1, 1},
	};

	return verdict(&data) == SECCOMP_RET_ALLOW;
}

static void a_flow_log_reads_by_its_socket_and_changes_what_it_has_appended(void **state)
{
	static const long calls[] = {SYS_lseek, SYS_ftruncate, SYS_fstat};

	(void)state;
	assert_int_equal(sandbox_filter_calls_of_flows(DESCRIPTORS_SOCKET, EVENTS_SOCKET), 0);
	assert_true(is_as_in_every_process());
	assert_true(passes_all(calls, COUNT(calls)));
	assert_true(may_ask_who_sent_by(EVENTS_SOCKET));
	assert_false(may_ask_who_sent_by(DESCRIPTORS_SOCKET));
	assert_true(passes(SYS_getsockopt, EVENTS_SOCKET, SOL_SOCKET, SO_MEMINFO, 0));
	assert_false(passes(SYS_getsockopt, EVENTS_SOCKET, SOL_SOCKET, SO_PEERCRED, 0));
	assert_true(passes(SYS_recvmsg, DESCRIPTORS_SOCKET, 0, 0, 0));
	assert_true(passes(SYS_newfstatat, 0, 0, 0, AT_EMPTY_PATH));
	assert_true(keeps_files_out());
	assert_true(keeps_the_network_out());
}

static void a_store_does_with_files_what_a_database_does(void **state)
{
	(void)state;
	assert_int_equal(sandbox_filter_calls_of_store(), 0);
	assert_true(is_as_in_every_process());
	assert_true(passes_all(of_files, COUNT(of_files)));
	assert_true(keeps_the_network_out());
}

static void a_fleets_store_connects_besides(void **state)
{
	(void)state;
	assert_int_equal(sandbox_filter_calls_of_fleet_store(), 0);
	assert_true(is_as_in_every_process());
	assert_true(passes_all(of_files, COUNT(of_files)));
	assert_true(passes_all(of_connections, COUNT(of_connections)));
	assert_true(passes(SYS_socket, AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0, 0));
	assert_false(passes(SYS_socket, AF_INET, SOCK_DGRAM, 0, 0));
}

static void who_asks_servers_connects_and_opens_no_file(void **state)
{
	(void)state;
	assert_int_equal(sandbox_filter_calls_of_asker(), 0);
	assert_true(is_as_in_every_process());
	assert_true(passes_all(of_connections, COUNT(of_connections)));
	assert_true(passes(SYS_socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0, 0));
	assert_true(keeps_files_out());
}

static void calls_of_another_machine_are_refused(void **state)
{
	struct seccomp_data data = {.nr = SYS_close, .arch = SCMP_ARCH_PPC64LE};

	(void)state;
	assert_int_equal(sandbox_filter_calls(-1), 0);
	assert_int_equal(verdict(&data), SECCOMP_RET_KILL_PROCESS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_gate_talks_over_what_it_has_open),
		cmocka_unit_test(memory_never_becomes_code),
		cmocka_unit_test(a_look_up_uses_the_sockets_that_it_has),
		cmocka_unit_test(a_signer_and_a_holder_speak_with_other_processes_alone),
		cmocka_unit_test(a_flow_log_reads_by_its_socket_and_changes_what_it_has_appended),
		cmocka_unit_test(a_store_does_with_files_what_a_database_does),
		cmocka_unit_test(a_fleets_store_connects_besides),
		cmocka_unit_test(who_asks_servers_connects_and_opens_no_file),
		cmocka_unit_test(calls_of_another_machine_are_refused),
	};

	/* The library would ask the kernel whether it can end a process; qemu-user has no
	 * seccomp(2). */
	if (seccomp_api_set(3) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
