/*
 * The system call bpf(2). The privileged helper makes maps and programs; the control thread fills
 * maps.
 */
#include "device/ipip/bpf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int call(enum bpf_cmd command, union bpf_attr *attr)
{
	long result = syscall(SYS_bpf, command, attr, sizeof *attr);

	return result < 0 ? -errno : (int)result;
}

static uint64_t address(const void *pointer)
{
	return (uint64_t)(uintptr_t)pointer;
}

int bpf_hash_map(const char *name, uint32_t key_size, uint32_t value_size, uint32_t entries)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof attr);
	attr.map_type = BPF_MAP_TYPE_HASH;
	attr.key_size = key_size;
	attr.value_size = value_size;
	attr.max_entries = entries;
	attr.map_flags = BPF_F_NO_PREALLOC; /* memory for those that are there only */
	snprintf(attr.map_name, sizeof attr.map_name, "%s", name);
	return call(BPF_MAP_CREATE, &attr);
}

int bpf_map_set(int map, const void *key, const void *value)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof attr);
	attr.map_fd = (uint32_t)map;
	attr.key = address(key);
	attr.value = address(value);
	return call(BPF_MAP_UPDATE_ELEM, &attr);
}

int bpf_map_get(int map, const void *key, void *value)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof attr);
	attr.map_fd = (uint32_t)map;
	attr.key = address(key);
	attr.value = address(value);
	return call(BPF_MAP_LOOKUP_ELEM, &attr);
}

int bpf_map_delete(int map, const void *key)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof attr);
	attr.map_fd = (uint32_t)map;
	attr.key = address(key);
	return call(BPF_MAP_DELETE_ELEM, &attr);
}

int bpf_load(const char *name, const struct bpf_insn *code, size_t n)
{
	static const char license[] = "MIT";
	union bpf_attr attr;

	memset(&attr, 0, sizeof attr);
	attr.prog_type = BPF_PROG_TYPE_SCHED_CLS;
	attr.insns = address(code);
	attr.insn_cnt = (uint32_t)n;
	attr.license = address(license);
	snprintf(attr.prog_name, sizeof attr.prog_name, "%s", name);
	return call(BPF_PROG_LOAD, &attr);
}

int bpf_attach(int program, unsigned int interface, enum bpf_hook hook)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof attr);
	attr.link_create.prog_fd = (uint32_t)program;
	attr.link_create.target_ifindex = interface;
	attr.link_create.attach_type = (uint32_t)hook;
	return call(BPF_LINK_CREATE, &attr);
}
