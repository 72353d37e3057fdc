/* The sheets on which the gates count: their connections by source (ipc/source_counts.h), and their
 * answers (ipc/gate_counts.h). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct gate_counts;
struct gate_sheets;

/* One for each of n gates. Returns 0 or -errno. */
int gate_sheets_new(unsigned int n, struct gate_sheets **sheets);
/* NULL is fine. */
void gate_sheets_free(struct gate_sheets *sheets);

/* Writes the descriptors that a gate is started with: its own sheet, those of the others to be
 * read, and the sheet of its answers; n + 1 of them. They stay the sheets'. */
void gate_sheets_hand_out(const struct gate_sheets *sheets, unsigned int gate, int *descriptors);

/* The gate has ended: it has no connections any more, and does not stand still. */
void gate_sheets_clear(struct gate_sheets *sheets, unsigned int gate);

/* Adds what all gates have answered, those that have ended too. A sheet that cannot be read is left
 * out. */
void gate_sheets_sum(const struct gate_sheets *sheets, struct gate_counts *sum);

/* Returns how many clients are connected to all gates and have no answer yet, as these say. */
uint64_t gate_sheets_waiting(const struct gate_sheets *sheets);

/* Whether a gate counts more connections than it may have: with those it would keep sources out of
 * the other gates. */
bool gate_sheets_is_false(const struct gate_sheets *sheets, unsigned int gate, uint32_t max);

/* Returns how many calls in a row have found that the gate's event loop has not turned since the
 * one before. */
unsigned int gate_sheets_still(struct gate_sheets *sheets, unsigned int gate);
