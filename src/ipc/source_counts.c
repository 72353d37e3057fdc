/* Counts connections in memory that processes share. The broker makes the sheets; the gates, each
 * in its one thread, count. */
#include "ipc/source_counts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/hash.h"

int source_counts_new_seed(struct source_counts_seed *seed)
{
	return getrandom(seed, sizeof *seed, 0) == sizeof *seed ? 0 : -EIO;
}

int source_sheet_new(void)
{
	int fd = memfd_create("vprox-sources", MFD_CLOEXEC | MFD_ALLOW_SEALING), error;

	if (fd < 0)
		return -errno;
	/* One that shrinks would be the end of who reads it. */
	if (ftruncate(fd, sizeof(struct source_sheet)) == 0 &&
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

/* Opened anew: what is mapped by a descriptor for reading cannot be made writable, mprotect(2). */
int source_sheet_open_for_reading(int sheet_fd)
{
	return file_open_again(sheet_fd, O_RDONLY | O_CLOEXEC);
}

int source_sheet_clear(int sheet_fd)
{
	return fallocate(sheet_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
		       sizeof(struct source_sheet)) < 0
		       ? -errno
		       : 0;
}

int64_t source_sheet_total(int sheet_fd)
{
	auto_free struct source_sheet *sheet = malloc(sizeof *sheet);
	int64_t total = 0;

	if (!sheet)
		return -ENOMEM;
	if (pread(sheet_fd, sheet, sizeof *sheet, 0) != sizeof *sheet)
		return -EIO;
	for (size_t i = 0; i < SOURCE_COUNTS_SLOTS; i++)
		total += sheet->slots[0][i];
	return total;
}

static void *map(int fd, int protection)
{
	void *memory = mmap(NULL, sizeof(struct source_sheet), protection, MAP_SHARED, fd, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

int source_counts_map(struct source_counts *counts, const struct source_counts_seed *seed, int own,
	int first_other, unsigned int n_others)
{
	*counts = (struct source_counts){.seed = *seed};
	counts->own = map(own, PROT_READ | PROT_WRITE);
	if (!counts->own)
		return -errno;
	counts->others = calloc(n_others + 1, sizeof *counts->others);
	if (!counts->others)
		return -ENOMEM;
	for (; counts->n_others < n_others; counts->n_others++) {
		const void *sheet = map(first_other + (int)counts->n_others, PROT_READ);

		if (!sheet)
			return -errno;
		counts->others[counts->n_others] = sheet;
	}
	return 0;
}

void source_counts_free(struct source_counts *counts)
{
	if (counts->own)
		munmap(counts->own, sizeof *counts->own);
	for (unsigned int i = 0; i < counts->n_others; i++)
		munmap((void *)counts->others[i], sizeof *counts->others[i]);
	free(counts->others);
	*counts = (struct source_counts){0};
}

/* Where the address is in each row. */
struct place {
	uint32_t slots[SOURCE_COUNTS_ROWS];
};

static struct place find(const struct source_counts *counts, const struct in6_addr *address)
{
	const struct hash_table key = {.seed = {counts->seed.words[0], counts->seed.words[1]}};
	uint64_t hash = hash_bytes(&key, address, sizeof *address);

	return (struct place){{(uint32_t)hash % SOURCE_COUNTS_SLOTS,
		(uint32_t)(hash >> 32) % SOURCE_COUNTS_SLOTS}};
}

/* This gate alone writes here; others read meanwhile. */
static void change(
	struct source_counts *counts, const struct in6_addr *address, uint32_t difference)
{
	struct place place = find(counts, address);

	for (int row = 0; counts->own && row < SOURCE_COUNTS_ROWS; row++)
		__atomic_fetch_add(
			&counts->own->slots[row][place.slots[row]], difference, __ATOMIC_RELAXED);
}

void source_counts_add(struct source_counts *counts, const struct in6_addr *address)
{
	change(counts, address, 1);
}

void source_counts_remove(struct source_counts *counts, const struct in6_addr *address)
{
	change(counts, address, (uint32_t)-1);
}

static uint32_t add_capped(uint32_t a, uint32_t b)
{
	return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

static uint32_t sum_of_row(
	const struct source_counts *counts, int row, uint32_t slot, uint32_t believed)
{
	uint32_t sum = 0;

	for (unsigned int i = 0; i < counts->n_others; i++) {
		uint32_t count =
			__atomic_load_n(&counts->others[i]->slots[row][slot], __ATOMIC_RELAXED);

		sum = add_capped(sum, count < believed ? count : believed);
	}
	return sum;
}

uint32_t source_counts_elsewhere(
	const struct source_counts *counts, const struct in6_addr *address, uint32_t believed)
{
	struct place place = find(counts, address);
	uint32_t least = UINT32_MAX;

	for (int row = 0; row < SOURCE_COUNTS_ROWS; row++) {
		uint32_t sum = sum_of_row(counts, row, place.slots[row], believed);

		least = sum < least ? sum : least;
	}
	return least;
}
