/* Asking the server that runs on this host for its report. */
#pragma once

struct report;

/*
 * Asks the server that listens there, and waits for the answer. Returns 0, or -ENOENT or
 * -ECONNREFUSED (none runs), -EACCES, -ENODATA (it closed without an answer), -ETIMEDOUT, or what
 * report_decode() returns. To be freed with report_free().
 */
int report_ask(const char *path, struct report *report);
