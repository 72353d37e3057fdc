/* Looks as often as it takes to tell what disagrees from what is under way. Runs in
 * `vprox check`. */
#include "check/server_check.h"

#include <errno.h>
#include <time.h>

#include "base/clock.h"
#include "check/look.h"

enum { PERIOD_MS = 500 };

static void wait_a_little(void)
{
	const struct timespec period = {.tv_nsec = PERIOD_MS * 1000000L};

	nanosleep(&period, NULL);
}

/* A look that failed tells nothing of what disagrees. */
static int look_again(struct check_result *check)
{
	struct check_result again = {0};
	int error = look_at_server(&again);

	again.n_looks = check->n_looks + 1;
	if (error == 0 && check->n_complete > 0)
		disagreements_keep_common(&check->disagreements, &again.disagreements);
	if (error < 0 || check->n_complete > 0) {
		disagreements_free(&again.disagreements);
		again.disagreements = check->disagreements;
	}
	again.n_complete = check->n_complete + (error == 0);
	*check = again;
	return error;
}

int server_check(uint64_t wait_ms, struct check_result *check)
{
	const uint64_t end_ms = clock_now_ms(&system_clock) + wait_ms;
	int error;

	*check = (struct check_result){0};
	error = look_again(check);
	/* Who cannot be asked for a moment is just being started again. */
	while ((error < 0 || check->disagreements.n > 0) && error != -ENOMEM &&
		clock_now_ms(&system_clock) < end_ms) {
		wait_a_little();
		error = look_again(check);
	}
	return error;
}

void server_check_free(struct check_result *check)
{
	disagreements_free(&check->disagreements);
}
