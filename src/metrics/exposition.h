/* The server's metrics, in Prometheus's text exposition format: docs/metrics.md. */
#pragma once

#include <stdio.h>

struct report;

/* All that a report tells but its peers, of which there may be none (REPORT_SUMS). */
void exposition_print(const struct report *report, FILE *out);

/* That the server did not answer, and nothing else. */
void exposition_print_unanswered(FILE *out);
