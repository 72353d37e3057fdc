/* Asking the server that runs on this host for its report. */
#pragma once

#include "ipc/report.h"

/*
 * Asks the server that listens there, and waits for the answer. Returns 0, or -ENOENT or
 * -ECONNREFUSED (none runs), -EACCES, -ENODATA (it closed without an answer), -ETIMEDOUT, or what
 * report_decode() returns. To be freed with report_free().
 */
int report_ask(const char *path, enum report_extent extent, struct report *report);
