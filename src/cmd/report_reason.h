/* Why a server that was asked for a report has given none. */
#pragma once

/* Of what report_ask() returned: for people, without a final newline. */
const char *report_reason(int error);
