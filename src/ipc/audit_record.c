/* Writes records of the audit as JSON. Runs in the broker, and in the gates for their log. */
#include "ipc/audit_record.h"

#include <jansson.h>

#include "base/clock.h"

static const char *const event_names[AUDIT_N_EVENTS] = {
	[AUDIT_GRANT] = "grant",
	[AUDIT_RENEWAL] = "renewal",
	[AUDIT_ADOPTION] = "adoption",
	[AUDIT_REFUSAL] = "refusal",
	[AUDIT_REMOVAL] = "removal",
};

const char *audit_event_name(enum audit_event event)
{
	return event_names[event];
}

static void set_text(json_t *object, const char *name, const char *text)
{
	if (text && *text)
		json_object_set_new(object, name, json_string(text));
}

static void set_number(json_t *object, const char *name, uint64_t number)
{
	json_object_set_new(object, name, json_integer((json_int_t)number));
}

static void set_address(json_t *object, const char *name, struct ipv4 address)
{
	if (address.value != 0)
		json_object_set_new(object, name, json_string(ipv4_text(address).s));
}

static void set_client(json_t *object, const struct audit_record *record)
{
	set_text(object, "name", record->name);
	set_address(object, "source", record->source);
	if (record->source_port != 0)
		set_number(object, "source_port", record->source_port);
	set_text(object, "kind", record->kind);
	if (!key_is_zero(&record->key))
		set_text(object, "key", key_text(&record->key).s);
}

static void set_usage(json_t *object, const struct audit_record *record)
{
	if (!record->has_usage)
		return;
	set_number(object, "received_bytes", record->received);
	set_number(object, "sent_bytes", record->sent);
	if (record->made_s != 0)
		set_number(object, "seconds", record->seconds);
}

char *audit_record_text(const struct audit_record *record, bool with_time)
{
	json_t *object = json_object();
	char *text;

	if (with_time)
		set_text(object, "time", time_text(clock_wall_ns()).s);
	set_text(object, "event", audit_event_name(record->event));
	set_client(object, record);
	set_address(object, "inner", record->inner);
	set_address(object, "serving", record->serving);
	set_text(object, "reason", record->reason);
	set_usage(object, record);
	if (record->count > 0)
		set_number(object, "count", record->count);
	text = json_dumps(object, JSON_COMPACT | JSON_PRESERVE_ORDER);
	json_decref(object);
	return text;
}
