/*
 * The audit: who was given a tunnel, who was refused one, and whose ended, one JSON object a line,
 * in a file or in the journal. What there is no room for is lost, counted and said once: it keeps
 * nobody from a tunnel. Refusals are gathered for a second (ipc/refusals.h).
 */
#pragma once

#include "ipc/audit_record.h"
#include "ipc/refusals.h"
#include "ipc/report.h"
#include "base/log.h"

struct audit;
struct event_base;
struct plane_peer;

/* where: a path, or "journal"; kept by reference. Logs. Returns 0 or -errno. */
int audit_open(const char *where, struct event_base *base, struct audit **audit);
/* Opens its file again, which logrotate(8) has moved away, or the journal's socket. What cannot be
 * opened again stays as it is. Logs. NULL is fine, here and below. */
void audit_reopen(struct audit *audit);
/* Writes what is gathered, and closes. */
void audit_close(struct audit *audit);

/* What is told of it to who asks. */
void audit_report(const struct audit *audit, struct report_audit *reported);

/* Sets what is known of a peer by who it is. */
void audit_describe(struct audit_record *record, const struct plane_peer *id);

/* Writes the record to the audit, and the line to the log, where in the form of JSON it has the
 * record's fields. */
__attribute__((format(printf, 4, 5))) void audit_tell(struct audit *audit,
	const struct audit_record *record, enum log_level level, const char *format, ...);

/* Writes the record to the audit alone. */
void audit_write(struct audit *audit, const struct audit_record *record);

/* A request was refused, or several that are alike. id: whose, and name: the client's; NULL: not
 * known. */
void audit_refuse(struct audit *audit, const struct refused_request *refusal, const char *name,
	const struct plane_peer *id);
