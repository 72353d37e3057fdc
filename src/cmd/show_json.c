/* Prints a report of the server as JSON; vprox-show(8) describes the fields. Runs in the process of
 * `vprox show`. */
#include <errno.h>

#include <jansson.h>

#include "cmd/json_stream.h"
#include "cmd/show_report.h"
#include "ipc/report.h"

static json_t *json_number(uint64_t value)
{
	return json_integer((json_int_t)value);
}

static json_t *json_address(struct ipv4 address)
{
	return address.value ? json_string(ipv4_text(address).s) : json_null();
}

/* The array with one more item; NULL, and neither is left, if there is no memory. */
static json_t *append(json_t *array, json_t *item)
{
	if (json_array_append_new(array, item) == 0)
		return array;
	json_decref(array);
	return NULL;
}

static json_t *json_process(const struct report_process *process)
{
	return json_pack("{s:o, s:o, s:b, s:o, s:o}", "number", json_number(process->number), "pid",
		process->pid ? json_number(process->pid) : json_null(), "ready",
		process->is_ready != 0, "restarts", json_number(process->n_restarts), "uptime_ms",
		json_number(process->uptime_ms));
}

static json_t *json_processes(const struct report_process *processes, uint32_t n)
{
	json_t *array = json_array();

	for (uint32_t i = 0; i < n; i++)
		array = append(array, json_process(&processes[i]));
	return array;
}

static json_t *json_store(const struct report_store *store)
{
	if (!store->is_there)
		return json_null();
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:{s:o, s:o, s:o}}", "kind", "local",
		"behind", json_number(store->n_behind), "process", json_process(&store->process),
		"refused", json_number(store->n_refused), "clock_ahead_s",
		json_number(store->clock_ahead_s), "second_key",
		store->n_addresses > 0 ? json_pack("{s:o, s:o}", "needed_by",
						 json_number(store->n_need_second_key), "addresses",
						 json_number(store->n_addresses))
				       : json_null(),
		"standby", "addresses", json_number(store->n_standby), "peers",
		json_number(store->n_standby_peers), "memory_bytes",
		json_number(store->standby_memory));
}

static json_t *json_peer(const struct report *report, const struct report_peer *peer)
{
	const char *name = report_peer_name(report, peer);
	const bool is_wireguard = peer->kind == REPORT_WIREGUARD;

	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "kind",
		is_wireguard ? "wireguard" : "ipip", "name",
		*name ? json_string(name) : json_null(), "inner", json_address(peer->inner),
		"outer", json_address(peer->outer), "public_key",
		is_wireguard ? json_string(key_text(&peer->key).s) : json_null(), "last_handshake",
		is_wireguard && peer->handshake_s ? json_number(peer->handshake_s) : json_null(),
		"idle_ms", json_number(peer->idle_ms), "connected_ms",
		json_number(peer->connected_ms), "received_bytes", json_number(peer->received),
		"sent_bytes", json_number(peer->sent), "received_bytes_per_s",
		json_number(peer->received_rate), "sent_bytes_per_s", json_number(peer->sent_rate));
}

static json_t *json_endpoint(const struct report_endpoint *endpoint)
{
	const struct prefix block = {endpoint->block, (uint8_t)endpoint->block_length};

	return json_pack("{s:s, s:o, s:s, s:s, s:s, s:s, s:o, s:b, s:b, s:{s:o, s:o}, s:o, s:o, "
			 "s:o, s:o}",
		"address", ipv4_text(endpoint->bind).s, "index", json_number(endpoint->index),
		"interface", endpoint->interface, "gateway", ipv4_text(endpoint->gateway).s,
		"block", prefix_text(block).s, "public_key", key_text(&endpoint->public_key).s,
		"port", json_number(endpoint->port), "stays", endpoint->is_kept != 0, "lost",
		endpoint->is_lost != 0, "pool", "capacity", json_number(endpoint->pool_capacity),
		"taken", json_number(endpoint->pool_taken), "received_bytes",
		json_number(endpoint->received), "sent_bytes", json_number(endpoint->sent),
		"age_ms", json_number(endpoint->age_ms), "clock_behind_s",
		json_number(endpoint->clock_behind_s));
}

/* The peers are in the order of their endpoints. */
static void print_endpoints(struct json_stream *stream, const struct report *report)
{
	uint32_t peer = 0;

	for (uint32_t i = 0; i < report->header.n_endpoints; i++) {
		json_stream_open_object(stream, NULL);
		json_stream_add_all(stream, json_endpoint(&report->endpoints[i]));
		json_stream_open_array(stream, "peers");
		for (; peer < report->header.n_peers && report->peers[peer].endpoint == i; peer++)
			json_stream_add(stream, NULL, json_peer(report, &report->peers[peer]));
		json_stream_close_array(stream);
		json_stream_close_object(stream);
	}
}

static json_t *json_tracking(const struct report_header *header)
{
	return json_pack("{s:o, s:o, s:b}", "connections", json_number(header->n_tracked), "max",
		header->max_tracked ? json_number(header->max_tracked) : json_null(), "full",
		header->is_full != 0);
}

static json_t *json_refused(const struct report_header *header)
{
	json_t *refused = json_object();

	for (size_t i = 0; i < REPORT_N_REFUSALS; i++)
		json_object_set_new(
			refused, report_refusal_names[i], json_number(header->refused[i]));
	return refused;
}

static json_t *json_audit(const struct report_audit *audit)
{
	if (!audit->is_there)
		return json_null();
	return json_pack("{s:o, s:b}", "lost", json_number(audit->n_lost), "failing",
		audit->is_failing != 0);
}

static json_t *json_flows(const struct report_flows *flows)
{
	if (!flows->is_there)
		return json_null();
	return json_pack("{s:o, s:{s:o, s:o}, s:b}", "flows", json_number(flows->n_written), "lost",
		"rate", json_number(flows->n_unheard), "file", json_number(flows->n_unwritten),
		"failing", flows->is_failing != 0);
}

static json_t *json_server(const struct report *report)
{
	const struct report_header *header = &report->header;

	return json_pack("{s:s, s:o, s:o, s:s, s:s, s:b, s:o, s:o, s:o}", "version",
		header->release, "pid", json_number(header->pid), "uptime_ms",
		json_number(header->uptime_ms), "plane", header->plane, "tls_pin", header->pin,
		"stopping", header->is_draining != 0, "gates",
		json_processes(report->gates, header->n_gates), "signers",
		json_processes(report->signers, header->n_signers), "store",
		json_store(&header->store));
}

static json_t *json_host(const struct report_header *header)
{
	return json_pack("{s:o, s:o, s:o, s:o}", "tracking", json_tracking(header),
		"refused_packets", json_refused(header), "audit", json_audit(&header->audit),
		"flow_log", json_flows(&header->flows));
}

int report_print_json(const struct report *report, bool on_one_line, FILE *out)
{
	struct json_stream stream = {.out = out, .on_one_line = on_one_line};

	json_stream_open_object(&stream, NULL);
	json_stream_add_all(&stream, json_server(report));
	json_stream_open_array(&stream, "endpoints");
	print_endpoints(&stream, report);
	json_stream_close_array(&stream);
	json_stream_add_all(&stream, json_host(&report->header));
	json_stream_close_object(&stream);
	fputc('\n', out);
	return stream.error;
}
