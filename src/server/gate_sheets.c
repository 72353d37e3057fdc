/* Keeps the gates' sheets, over the gates' deaths. Runs in the broker. */
#include "server/gate_sheets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "ipc/gate_counts.h"
#include "ipc/source_counts.h"

struct sheet {
	int own; /* its gate writes by this one */
	int for_reading; /* the other gates' */
	int answered; /* what its gates have */
	struct gate_counts *counts; /* that sheet, mapped */
	uint64_t turns; /* as seen last */
	unsigned int still; /* how often they were seen to be the same, in a row */
};

struct gate_sheets {
	unsigned int n;
	struct sheet sheets[];
};

static int make_sheet(struct sheet *sheet)
{
	sheet->own = source_sheet_new();
	if (sheet->own < 0)
		return sheet->own;
	sheet->for_reading = source_sheet_open_for_reading(sheet->own);
	if (sheet->for_reading < 0)
		return sheet->for_reading;
	sheet->answered = gate_counts_new();
	if (sheet->answered < 0)
		return sheet->answered;
	sheet->counts = gate_counts_map(sheet->answered);
	return sheet->counts ? 0 : -errno;
}

int gate_sheets_new(unsigned int n, struct gate_sheets **result)
{
	struct gate_sheets *sheets = calloc(1, sizeof *sheets + n * sizeof(struct sheet));
	int error = 0;

	if (!sheets)
		return -ENOMEM;
	for (; sheets->n < n && error == 0; sheets->n++) {
		sheets->sheets[sheets->n] =
			(struct sheet){.own = -1, .for_reading = -1, .answered = -1};
		error = make_sheet(&sheets->sheets[sheets->n]);
	}
	if (error < 0)
		gate_sheets_free(sheets);
	else
		*result = sheets;
	return error;
}

void gate_sheets_free(struct gate_sheets *sheets)
{
	if (!sheets)
		return;
	for (unsigned int i = 0; i < sheets->n; i++) {
		gate_counts_unmap(sheets->sheets[i].counts);
		if (sheets->sheets[i].own >= 0)
			close(sheets->sheets[i].own);
		if (sheets->sheets[i].for_reading >= 0)
			close(sheets->sheets[i].for_reading);
		if (sheets->sheets[i].answered >= 0)
			close(sheets->sheets[i].answered);
	}
	free(sheets);
}

void gate_sheets_clear(struct gate_sheets *sheets, unsigned int gate)
{
	int error = source_sheet_clear(sheets->sheets[gate].own);

	gate_counts_forget_waiting(sheets->sheets[gate].counts);
	sheets->sheets[gate].still = 0;
	if (error < 0)
		log_warning("cannot forget the connections of gate %u: %s", gate, strerror(-error));
}

void gate_sheets_hand_out(const struct gate_sheets *sheets, unsigned int gate, int *descriptors)
{
	*descriptors++ = sheets->sheets[gate].own;
	for (unsigned int i = 0; i < sheets->n; i++)
		if (i != gate)
			*descriptors++ = sheets->sheets[i].for_reading;
	*descriptors = sheets->sheets[gate].answered;
}

void gate_sheets_sum(const struct gate_sheets *sheets, struct gate_counts *sum)
{
	for (unsigned int i = 0; i < sheets->n; i++)
		if (gate_counts_join(sum, sheets->sheets[i].answered) < 0)
			log_debug("cannot read what gate %u has answered", i);
}

uint64_t gate_sheets_waiting(const struct gate_sheets *sheets)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < sheets->n; i++)
		n += gate_counts_waiting(sheets->sheets[i].counts);
	return n;
}

bool gate_sheets_is_false(const struct gate_sheets *sheets, unsigned int gate, uint32_t max)
{
	return source_sheet_total(sheets->sheets[gate].own) > max;
}

unsigned int gate_sheets_still(struct gate_sheets *sheets, unsigned int gate)
{
	struct sheet *sheet = &sheets->sheets[gate];
	uint64_t turns = gate_counts_turns(sheet->counts);

	sheet->still = turns == sheet->turns ? sheet->still + 1 : 0;
	sheet->turns = turns;
	return sheet->still;
}
