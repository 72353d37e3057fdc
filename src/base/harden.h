/* What a process that keeps rights gives up all the same: all that its work does not need. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/capability.h>

struct harden_config {
	const cap_value_t *capabilities; /* that it needs; it keeps those of them that it has */
	size_t n_capabilities;
	/* What it starts may have these too; it has them permitted and not in effect. */
	const cap_value_t *childrens;
	size_t n_childrens;
	bool allows_bpf; /* to itself and what it starts */
};

/*
 * For good, for this process and all that it starts: no capabilities but those, no new privileges,
 * no core files, and none of the system calls by which one looks into other processes, loads code
 * into the kernel, mounts, makes namespaces or reaches the hardware: these fail with EPERM. And no
 * other process may trace it. To be called once all files are open that need more, and before there
 * are threads. Returns 0 or -errno; why is logged.
 */
int harden_process(const struct harden_config *config);
