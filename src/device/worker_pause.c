/* Where workers stand still: a lock and a condition. Runs in every worker, and in the control
 * thread. */
#include "device/worker_pause.h"

void worker_pause_init(struct worker_pause *pause, enum worker_pause_state state)
{
	*pause = (struct worker_pause){.state = state};
	pthread_mutex_init(&pause->lock, NULL);
	pthread_cond_init(&pause->changed, NULL);
}

void worker_pause_free(struct worker_pause *pause)
{
	pthread_cond_destroy(&pause->changed);
	pthread_mutex_destroy(&pause->lock);
}

void worker_pause_set(struct worker_pause *pause, enum worker_pause_state state)
{
	pthread_mutex_lock(&pause->lock);
	pause->state = state;
	pthread_cond_broadcast(&pause->changed);
	pthread_mutex_unlock(&pause->lock);
}

void worker_pause_wait_for(struct worker_pause *pause, unsigned int n)
{
	pthread_mutex_lock(&pause->lock);
	while (pause->n_away < n)
		pthread_cond_wait(&pause->changed, &pause->lock);
	pthread_mutex_unlock(&pause->lock);
}

/* With the lock held: whether the control thread waits for it. */
static void go_away(struct worker_pause *pause)
{
	pause->n_away++;
	pthread_cond_broadcast(&pause->changed);
}

bool worker_pause_pass(struct worker_pause *pause)
{
	bool away, go_on;

	pthread_mutex_lock(&pause->lock);
	away = pause->state != WORKERS_RUN;
	if (away)
		go_away(pause);
	while (pause->state == WORKERS_STAND)
		pthread_cond_wait(&pause->changed, &pause->lock);
	go_on = pause->state == WORKERS_RUN;
	if (go_on && away)
		pause->n_away--;
	pthread_mutex_unlock(&pause->lock);
	return go_on;
}

void worker_pause_leave(struct worker_pause *pause)
{
	pthread_mutex_lock(&pause->lock);
	go_away(pause);
	pthread_mutex_unlock(&pause->lock);
}
