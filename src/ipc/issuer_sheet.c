/* Keeps keys in memory that processes share. The broker writes; the gates read, each in its one
 * thread, and take what was being written meanwhile for not read. */
#include "ipc/issuer_sheet.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	/* A broker that was stopped in the middle of writing keeps no gate busy. */
	READ_TRIES = 1000,
};

struct issuer_page {
	uint32_t sequence; /* odd while it is written */
	uint32_t n;
	uint64_t fetched_ms, tried_ms;
	struct issuer_key keys[ISSUER_KEYS_MAX];
};

/* What is shared. */
struct content {
	uint32_t n;
	struct issuer issuers[ISSUERS_MAX]; /* never change */
	struct issuer_page pages[ISSUERS_MAX];
};

struct issuer_sheet {
	int fd; /* the broker's; -1 in a gate */
	struct content *content; /* a gate may only read it */
};

static struct issuer_sheet *map(int fd, int protection)
{
	struct issuer_sheet *sheet = malloc(sizeof *sheet);
	void *content = sheet ? mmap(NULL, sizeof *sheet->content, protection, MAP_SHARED, fd, 0)
			      : MAP_FAILED;

	if (content == MAP_FAILED) {
		free(sheet);
		return NULL;
	}
	*sheet = (struct issuer_sheet){.fd = -1, .content = content};
	return sheet;
}

static bool is_valid(const struct content *content)
{
	for (uint32_t i = 0; i < content->n && i < ISSUERS_MAX; i++)
		if (!issuer_is_valid(&content->issuers[i]))
			return false;
	return content->n <= ISSUERS_MAX;
}

struct issuer_sheet *issuer_sheet_map(int fd)
{
	struct stat stat;
	struct issuer_sheet *sheet;

	/* Beyond the end of the file there is no memory, but a signal. */
	if (fstat(fd, &stat) < 0 || stat.st_size != sizeof *sheet->content) {
		errno = EPROTO;
		return NULL;
	}
	sheet = map(fd, PROT_READ);
	if (!sheet || is_valid(sheet->content))
		return sheet;
	issuer_sheet_free(sheet);
	errno = EPROTO;
	return NULL;
}

unsigned int issuer_sheet_count(const struct issuer_sheet *sheet)
{
	return sheet->content->n;
}

const struct issuer *issuer_sheet_get(const struct issuer_sheet *sheet, unsigned int issuer)
{
	return &sheet->content->issuers[issuer];
}

/* Once it is mapped here nobody else can map it for writing: memfd_create(2), fcntl(2). */
struct issuer_sheet *issuer_sheet_new(const struct issuer *issuers, unsigned int n)
{
	int fd = memfd_create("vprox-issuers", MFD_CLOEXEC | MFD_ALLOW_SEALING), error;
	struct issuer_sheet *sheet = NULL;

	if (fd < 0)
		return NULL;
	if (ftruncate(fd, (off_t)sizeof *sheet->content) == 0)
		sheet = map(fd, PROT_READ | PROT_WRITE);
	if (sheet &&
		fcntl(fd, F_ADD_SEALS,
			F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) == 0) {
		sheet->fd = fd;
		sheet->content->n = n;
		memcpy(sheet->content->issuers, issuers, n * sizeof *issuers);
		return sheet;
	}
	error = errno;
	issuer_sheet_free(sheet);
	close(fd);
	errno = error;
	return NULL;
}

int issuer_sheet_fd(const struct issuer_sheet *sheet)
{
	return sheet->fd;
}

static void begin_write(struct issuer_page *page)
{
	__atomic_store_n(&page->sequence, page->sequence + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static void end_write(struct issuer_page *page)
{
	__atomic_store_n(&page->sequence, page->sequence + 1, __ATOMIC_RELEASE);
}

void issuer_sheet_write(struct issuer_sheet *sheet, unsigned int issuer,
	const struct issuer_key *keys, unsigned int n, uint64_t now_ms)
{
	struct issuer_page *page = &sheet->content->pages[issuer];

	begin_write(page);
	memcpy(page->keys, keys, n * sizeof *keys);
	page->n = n;
	page->fetched_ms = page->tried_ms = now_ms;
	end_write(page);
}

void issuer_sheet_record_failure(struct issuer_sheet *sheet, unsigned int issuer, uint64_t now_ms)
{
	struct issuer_page *page = &sheet->content->pages[issuer];

	begin_write(page);
	page->tried_ms = now_ms;
	end_write(page);
}

/* Of a page that may be changed meanwhile: whatever this finds is worth nothing then. */
static bool find(const struct issuer_page *page, const char *kid, enum issuer_key_kind kind,
	uint64_t now_ms, struct issuer_key *key)
{
	uint32_t n = page->n;

	if (n > ISSUER_KEYS_MAX || now_ms - page->fetched_ms > ISSUER_KEYS_GOOD_MS)
		return false;
	for (uint32_t i = 0; i < n; i++)
		if (page->keys[i].kind == (uint32_t)kind &&
			strncmp(page->keys[i].kid, kid, ISSUER_KID_SIZE) == 0) {
			*key = page->keys[i];
			return true;
		}
	return false;
}

static bool was_unchanged(const struct issuer_page *page, uint32_t sequence)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&page->sequence, __ATOMIC_RELAXED) == sequence;
}

int issuer_sheet_find(const struct issuer_sheet *sheet, unsigned int issuer, const char *kid,
	enum issuer_key_kind kind, uint64_t now_ms, struct issuer_key *key)
{
	const struct issuer_page *page = &sheet->content->pages[issuer];

	for (int i = 0; i < READ_TRIES; i++) {
		uint32_t sequence = __atomic_load_n(&page->sequence, __ATOMIC_ACQUIRE);
		bool is_found = sequence % 2 == 0 && find(page, kid, kind, now_ms, key);

		if (sequence % 2 == 0 && was_unchanged(page, sequence))
			return is_found && issuer_key_is_valid(key) ? 0 : -ENOENT;
	}
	return -ENOENT;
}

/* Torn or late, it is right at the next look. */
uint64_t issuer_sheet_tried_ms(const struct issuer_sheet *sheet, unsigned int issuer)
{
	return __atomic_load_n(&sheet->content->pages[issuer].tried_ms, __ATOMIC_RELAXED);
}

void issuer_sheet_free(struct issuer_sheet *sheet)
{
	if (!sheet)
		return;
	munmap(sheet->content, sizeof *sheet->content);
	if (sheet->fd >= 0)
		close(sheet->fd);
	free(sheet);
}
