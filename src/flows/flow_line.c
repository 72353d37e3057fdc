/* Writes a flow as JSON. Runs in the process of the flow log, 20,000 times a second: the library
 * for JSON, which makes the names, would take ten times as long for the whole line. */
#include "flows/flow_line.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"

struct line_text {
	char *text;
	size_t length;
};

__attribute__((format(printf, 2, 3))) static void append(
	struct line_text *line, const char *format, ...)
{
	va_list arguments;
	int n;

	va_start(arguments, format);
	n = vsnprintf(line->text + line->length, FLOW_LINE_SIZE - line->length, format, arguments);
	va_end(arguments);
	if (n > 0)
		line->length += (size_t)n;
}

static void append_place(
	struct line_text *line, const char *name, struct ipv4 address, uint16_t port)
{
	append(line, ",\"%s\":\"%s\"", name, ipv4_text(address).s);
	if (port != 0)
		append(line, ",\"%s_port\":%u", name, port);
}

/* As the audit has it: received is what came from the client. */
static void append_amount(
	struct line_text *line, const char *name, const struct flow_amount *amount)
{
	append(line, ",\"%s_bytes\":%" PRIu64 ",\"%s_packets\":%" PRIu64, name, amount->bytes, name,
		amount->packets);
}

static void append_protocol(struct line_text *line, uint8_t protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		append(line, ",\"protocol\":\"tcp\"");
		break;
	case IPPROTO_UDP:
		append(line, ",\"protocol\":\"udp\"");
		break;
	case IPPROTO_ICMP:
		append(line, ",\"protocol\":\"icmp\"");
		break;
	default:
		append(line, ",\"protocol\":\"%u\"", protocol);
	}
}

/* Of a size that the longest one fits: all of it is of known length but the name, which owners.c
 * has bounded. */
size_t flow_line_print(
	char text[FLOW_LINE_SIZE], const struct ended_flow *flow, const struct owner *owner)
{
	struct line_text line = {.text = text};

	append(&line, "{");
	if (flow->start_ns > 0)
		append(&line, "\"start\":\"%s\",", time_text(flow->start_ns).s);
	append(&line, "\"end\":\"%s\",\"event\":\"flow\"", time_text(flow->end_ns).s);
	if (owner && owner->name[0] != '\0')
		append(&line, ",\"name\":%s", owner->name);
	if (owner)
		append(&line, ",\"kind\":\"%s\"", owner->kind);
	append_place(&line, "inner", flow->source, flow->source_port);
	append_place(&line, "serving", flow->seen_as, flow->seen_as_port);
	append_place(&line, "destination", flow->destination, flow->destination_port);
	append_protocol(&line, flow->protocol);
	if (flow->has_amounts) {
		append_amount(&line, "received", &flow->out);
		append_amount(&line, "sent", &flow->back);
	}
	append(&line, "}\n");
	return line.length;
}
