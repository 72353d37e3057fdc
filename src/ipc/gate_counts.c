/* The sheets on which gates count. The broker makes and reads them; each gate, in its one thread,
 * writes its own. */
#include "ipc/gate_counts.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

const char *const gate_path_names[GATE_N_PATHS] = {
	[GATE_PATH_ROOT] = "/",
	[GATE_PATH_HEALTH] = "/healthz",
	[GATE_PATH_VERSION] = "/version",
	[GATE_PATH_CONNECT] = "/connect",
	[GATE_PATH_CONNECT_IPIP] = "/connect-ipip",
	[GATE_PATH_DISCONNECT] = "/disconnect",
	[GATE_PATH_DISCONNECT_IPIP] = "/disconnect-ipip",
	[GATE_PATH_RELINQUISH] = "/relinquish",
	[GATE_PATH_OTHER] = "other",
};

const unsigned int gate_statuses[GATE_N_STATUSES] = {
	200, 400, 401, 403, 404, 405, 409, 413, 429, 431, 500, 503, 0};

#define NAME_OF(name, label) [GATE_REFUSED_##name] = label,
const char *const gate_refusal_names[GATE_N_REFUSALS] = {GATE_REFUSALS(NAME_OF)};
#undef NAME_OF

int gate_counts_new(void)
{
	int fd = memfd_create("vprox-counts", MFD_CLOEXEC | MFD_ALLOW_SEALING), error;

	if (fd < 0)
		return -errno;
	/* One that shrinks would be the end of who reads it. */
	if (ftruncate(fd, sizeof(struct gate_counts)) == 0 &&
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

int gate_counts_join(struct gate_counts *counts, int sheet_fd)
{
	struct gate_counts sheet;

	if (pread(sheet_fd, &sheet, sizeof sheet, 0) != sizeof sheet)
		return -EIO;
	counts->waiting += sheet.waiting;
	for (int path = 0; path < GATE_N_PATHS; path++) {
		for (int status = 0; status < GATE_N_STATUSES; status++)
			counts->answers[path][status] += sheet.answers[path][status];
		histogram_join(&counts->durations[path], &sheet.durations[path]);
	}
	for (int refusal = 0; refusal < GATE_N_REFUSALS; refusal++)
		counts->refusals[refusal] += sheet.refusals[refusal];
	return 0;
}

struct gate_counts *gate_counts_map(int sheet_fd)
{
	void *memory = mmap(
		NULL, sizeof(struct gate_counts), PROT_READ | PROT_WRITE, MAP_SHARED, sheet_fd, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

void gate_counts_unmap(struct gate_counts *counts)
{
	if (counts)
		munmap(counts, sizeof *counts);
}

/* Read by the broker at any time: written with one store each. */
static void set_waiting(struct gate_counts *counts, uint64_t waiting)
{
	__atomic_store_n(&counts->waiting, waiting, __ATOMIC_RELAXED);
}

void gate_counts_forget_waiting(struct gate_counts *counts)
{
	set_waiting(counts, 0);
}

uint64_t gate_counts_waiting(const struct gate_counts *counts)
{
	return __atomic_load_n(&counts->waiting, __ATOMIC_RELAXED);
}

void gate_counts_turn(struct gate_counts *counts)
{
	if (counts)
		__atomic_store_n(&counts->turns, counts->turns + 1, __ATOMIC_RELAXED);
}

uint64_t gate_counts_turns(const struct gate_counts *counts)
{
	return __atomic_load_n(&counts->turns, __ATOMIC_RELAXED);
}

void gate_counts_wait(struct gate_counts *counts, bool is_more)
{
	if (counts)
		set_waiting(counts, counts->waiting + (is_more ? 1 : (uint64_t)-1));
}

static unsigned int index_of(unsigned int status)
{
	unsigned int i = 0;

	while (i < GATE_N_STATUSES - 1 && gate_statuses[i] != status)
		i++;
	return i;
}

void gate_counts_answer(
	struct gate_counts *counts, enum gate_path path, unsigned int status, uint64_t us)
{
	if (!counts)
		return;
	counts->answers[path][index_of(status)]++;
	histogram_add(&counts->durations[path], us);
}

void gate_counts_refusal(struct gate_counts *counts, enum gate_refusal refusal)
{
	if (counts && refusal < GATE_N_REFUSALS)
		counts->refusals[refusal]++;
}
