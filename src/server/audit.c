/* Writes the audit. Runs in the broker's event loop; a write does not wait for a reader. */
#include "server/audit.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/line_file.h"
#include "ipc/client_name.h"
#include "plane/plane.h"
#include "server/journal.h"

static const char journal[] = "journal";

enum {
	FILE_MODE = 0640,
	MESSAGE_SIZE = 1024,
	NUMBER_SIZE = 24,
};

/* Of whom an entry of the refusals was first. */
struct refused {
	char name[CLIENT_NAME_SIZE];
	struct plane_peer id; /* kind 0: not known */
	bool has_id;
};

struct audit {
	const char *where;
	struct line_file file; /* of the journal: its socket */
	bool is_journal;
	struct event *timer;
	struct refused_requests refusals;
	struct refused refused[REFUSALS_MAX];
};

static int open_anew(const struct audit *audit)
{
	return audit->is_journal ? journal_open() : line_file_open(audit->where, FILE_MODE);
}

void audit_reopen(struct audit *audit)
{
	int fd = audit ? open_anew(audit) : -1;

	if (audit && fd < 0)
		log_error("cannot open the audit %s again, going on with the one before: %s",
			audit->where, line_file_error(fd));
	else if (audit)
		line_file_use(&audit->file, fd);
}

static const char *number(uint64_t value, bool is_known, char text[NUMBER_SIZE])
{
	snprintf(text, NUMBER_SIZE, "%llu", (unsigned long long)value);
	return is_known ? text : NULL;
}

static int send_to_journal(struct audit *audit, const struct audit_record *record, const char *text)
{
	const struct ipv4_text source = ipv4_text(record->source), inner = ipv4_text(record->inner);
	const struct ipv4_text serving = ipv4_text(record->serving);
	const struct key_text key = key_text(&record->key);
	char port[NUMBER_SIZE], received[NUMBER_SIZE], sent[NUMBER_SIZE], seconds[NUMBER_SIZE],
		count[NUMBER_SIZE];
	const struct journal_field fields[] = {
		{"MESSAGE", text},
		{"PRIORITY", "6"},
		{"SYSLOG_IDENTIFIER", "vprox-audit"},
		{"VPROX_EVENT", audit_event_name(record->event)},
		{"VPROX_NAME", record->name},
		{"VPROX_SOURCE", record->source.value ? source.s : NULL},
		{"VPROX_SOURCE_PORT", number(record->source_port, record->source_port, port)},
		{"VPROX_KIND", record->kind},
		{"VPROX_KEY", key_is_zero(&record->key) ? NULL : key.s},
		{"VPROX_INNER", record->inner.value ? inner.s : NULL},
		{"VPROX_SERVING", record->serving.value ? serving.s : NULL},
		{"VPROX_REASON", record->reason},
		{"VPROX_RECEIVED_BYTES", number(record->received, record->has_usage, received)},
		{"VPROX_SENT_BYTES", number(record->sent, record->has_usage, sent)},
		{"VPROX_SECONDS", number(record->seconds, record->made_s, seconds)},
		{"VPROX_COUNT", number(record->count, record->count, count)},
	};

	return journal_send(audit->file.fd, fields, sizeof fields / sizeof *fields);
}

static bool is_gone(int error)
{
	return error == -ECONNREFUSED || error == -ENOTCONN || error == -ECONNRESET ||
	       error == -EPIPE;
}

/* A journal that was started again may have a socket of its own. */
static void write_to_journal(
	struct audit *audit, const struct audit_record *record, const char *text)
{
	int error = send_to_journal(audit, record, text);

	if (is_gone(error)) {
		int fd = journal_open();

		if (fd >= 0) {
			line_file_use(&audit->file, fd);
			error = send_to_journal(audit, record, text);
		}
	}
	line_file_account(&audit->file, 1, -error);
}

static void write_to_file(struct audit *audit, const char *text)
{
	size_t length = strlen(text);
	char *line = malloc(length + 1);

	if (!line) {
		line_file_account(&audit->file, 1, ENOMEM);
		return;
	}
	memcpy(line, text, length);
	line[length] = '\n';
	line_file_write(&audit->file, line, length + 1, 1);
	free(line);
}

void audit_write(struct audit *audit, const struct audit_record *record)
{
	char *text = audit ? audit_record_text(record, true) : NULL;

	if (audit && !text)
		line_file_account(&audit->file, 1, ENOMEM);
	else if (audit && audit->is_journal)
		write_to_journal(audit, record, text);
	else if (audit)
		write_to_file(audit, text);
	free(text);
}

void audit_tell(struct audit *audit, const struct audit_record *record, enum log_level level,
	const char *format, ...)
{
	char *fields = log_has_fields(level) ? audit_record_text(record, false) : NULL;
	char message[MESSAGE_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof message, format, args);
	va_end(args);
	log_with_fields(level, fields, "%s", message);
	free(fields);
	audit_write(audit, record);
}

void audit_report(const struct audit *audit, struct report_audit *reported)
{
	if (!audit)
		return;
	*reported = (struct report_audit){
		.is_there = 1,
		.is_failing = audit->file.is_failing,
		.n_lost = audit->file.lost_in_all,
	};
}

void audit_describe(struct audit_record *record, const struct plane_peer *id)
{
	record->kind = id->kind == PEER_WIREGUARD ? "wireguard" : "ipip";
	record->key = id->key;
	record->inner = id->inner;
}

void audit_refuse(struct audit *audit, const struct refused_request *refusal, const char *name,
	const struct plane_peer *id)
{
	const struct timeval period = timeval_from_ms(REFUSALS_PERIOD_MS);
	size_t before, place;

	if (!audit)
		return;
	if (refusals_are_empty(&audit->refusals))
		event_add(audit->timer, &period);
	before = audit->refusals.n;
	place = refusals_add(&audit->refusals, refusal);
	if (audit->refusals.n == before)
		return;
	audit->refused[place] = (struct refused){.has_id = id};
	if (id)
		audit->refused[place].id = *id;
	snprintf(audit->refused[place].name, CLIENT_NAME_SIZE, "%s", name ? name : "");
}

static void write_refusal(
	struct audit *audit, const struct refused_request *refusal, const struct refused *refused)
{
	struct audit_record record = {
		.event = AUDIT_REFUSAL,
		.name = refused ? refused->name : NULL,
		.source = refusal->source,
		.source_port = refusal->source_port,
		.serving = refusal->bind,
		.reason = refusal_reason_name((enum refusal_reason)refusal->reason),
		.count = refusal->count,
	};

	if (refused && refused->has_id)
		audit_describe(&record, &refused->id);
	audit_write(audit, &record);
}

/* The place of what is taken is the number of those that are left. */
static void write_refusals(struct audit *audit)
{
	struct refused_request refusal;

	while (refusals_take(&audit->refusals, &refusal))
		write_refusal(audit, &refusal,
			refusal.reason == REFUSAL_VARIOUS ? NULL
							  : &audit->refused[audit->refusals.n]);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	write_refusals(context);
}

int audit_open(const char *where, struct event_base *base, struct audit **result)
{
	struct audit *audit = calloc(1, sizeof *audit);
	int fd;

	if (!audit)
		return -ENOMEM;
	audit->where = where;
	audit->is_journal = strcmp(where, journal) == 0;
	audit->file = (struct line_file){.fd = -1, .what = "the audit"};
	audit->timer = evtimer_new(base, on_timer, audit);
	fd = audit->timer ? open_anew(audit) : -ENOMEM;
	if (fd < 0) {
		log_error("cannot open the audit %s: %s", where, line_file_error(fd));
		audit_close(audit);
		return fd;
	}
	if (!audit->is_journal)
		line_file_mend(fd);
	line_file_use(&audit->file, fd);
	*result = audit;
	return 0;
}

void audit_close(struct audit *audit)
{
	if (!audit)
		return;
	write_refusals(audit);
	free_event(audit->timer);
	line_file_close(&audit->file);
	free(audit);
}
