/* Counts, logs and reports answers. Runs in the gate's one thread, called by a connection. */
#include "gate/answer_record.h"

#include <string.h>

#include "base/log.h"
#include "gate/connection_set.h"
#include "gate/refusal_report.h"
#include "gate/tls_http.h"

void answer_record_refusal(struct connection *connection)
{
	const unsigned int status = tls_http_response(connection->tls_http)->status;

	if (status == 401)
		refusal_report_add(
			connection->set->refusals, &connection->client, REFUSAL_PASSWORD);
	else if (status == 403)
		refusal_report_add(connection->set->refusals, &connection->client, REFUSAL_INSIDE);
}

static void log_refusal(struct connection *connection)
{
	const struct response *response = tls_http_response(connection->tls_http);
	struct log_limit_text more;

	if (response->status == 401) {
		if (connection_set_may_log(connection->set, &connection->set->unauthorized,
			    &connection->client, &more))
			log_info("%s: no or wrong bearer%s",
				client_address_text(&connection->client).s, more.s);
	} else if (response->status >= 400) {
		log_debug("%s: answered %u %.*s", client_address_text(&connection->client).s,
			response->status, (int)strcspn(response->body, "\n"), response->body);
	}
}

/* A pause before the answer is not counted in. */
static void count(const struct connection *connection)
{
	const struct response *response = tls_http_response(connection->tls_http);
	uint64_t took_ms = clock_now_ms(connection->set->clock) - connection->accepted_ms;

	gate_counts_answer(
		connection->set->counts, response->path, response->status, took_ms * 1000);
	gate_counts_refusal(connection->set->counts, response->refusal);
}

void answer_record(struct connection *connection)
{
	count(connection);
	log_refusal(connection);
}
