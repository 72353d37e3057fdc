/* What is told of an answer besides the client: the gate's counts, the log, and the broker. */
#pragma once

struct connection;

/* Of refusals that the gate decides, which the broker is to hear of; of others it knows. Of an
 * answer that has none of these it says nothing. */
void answer_record_refusal(struct connection *connection);

/* Counts the answer, and logs it if it is a refusal. When it is about to be sent or, with a pause
 * before it, as that begins, which is not counted in. */
void answer_record(struct connection *connection);
