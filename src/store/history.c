/* Keeps samples of etcd's revisions. Runs in the store's process. */
#include "store/history.h"

static const struct history_sample *newest(const struct history *history)
{
	return &history->samples[(history->next + HISTORY_PARTS) % (HISTORY_PARTS + 1)];
}

void history_begin_anew(struct history *history)
{
	*history = (struct history){.keep_ms = history->keep_ms};
}

bool history_is_due(const struct history *history, uint64_t now_ms)
{
	const struct history_sample *last = newest(history);

	return history->keep_ms > 0 &&
	       (last->revision == 0 || now_ms - last->ms >= history->keep_ms / HISTORY_PARTS);
}

uint64_t history_add(struct history *history, uint64_t now_ms, uint64_t revision)
{
	uint64_t up_to = 0;

	history->samples[history->next] = (struct history_sample){now_ms, revision};
	history->next = (history->next + 1) % (HISTORY_PARTS + 1);
	for (size_t i = 0; i <= HISTORY_PARTS; i++) {
		const struct history_sample *sample = &history->samples[i];

		if (sample->revision > up_to && now_ms - sample->ms >= history->keep_ms)
			up_to = sample->revision;
	}
	return up_to > history->compacted ? up_to : 0;
}
