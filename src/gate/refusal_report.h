/* Tells the broker, for the audit, of requests that the gate has refused by itself: once a second,
 * those that are alike in one message (ipc/refusals.h). */
#pragma once

#include "ipc/refusals.h"

struct broker_link;
struct client_address;
struct event_base;
struct refusal_report;

/* NULL: no memory. The link must outlive it. */
struct refusal_report *refusal_report_new(struct event_base *base, struct broker_link *broker);
/* Tells what there is left, and frees. NULL is fine, here and below. */
void refusal_report_free(struct refusal_report *report);

void refusal_report_add(struct refusal_report *report, const struct client_address *client,
	enum refusal_reason reason);
