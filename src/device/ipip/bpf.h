/* The little of bpf(2) that is needed, without a library: maps, programs, and where these hang. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <linux/bpf.h>

/* Where a program hangs, for kernels from 6.6 on (the headers of Debian 12 are older). */
enum bpf_hook {
	BPF_HOOK_INGRESS = 46, /* BPF_TCX_INGRESS */
	BPF_HOOK_EGRESS = 47, /* BPF_TCX_EGRESS */
};

/* All return a file descriptor or 0, or -errno. */
int bpf_hash_map(const char *name, uint32_t key_size, uint32_t value_size, uint32_t entries);
int bpf_map_set(int map, const void *key, const void *value);
int bpf_map_get(int map, const void *key, void *value);
int bpf_map_delete(int map, const void *key);
int bpf_load(const char *name, const struct bpf_insn *code, size_t n);
/* The program hangs there until the last copy of the returned descriptor is closed. */
int bpf_attach(int program, unsigned int interface, enum bpf_hook hook);
