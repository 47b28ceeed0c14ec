/* SPDX-License-Identifier: Apache-2.0 */
/* Progress of long work as docker's stream of JSON objects, which its client shows as bars. */
#ifndef API_PROGRESS_H
#define API_PROGRESS_H

#include "exchange.h"
#include "images/store.h"

struct progress_stream {
	struct exchange *x; /* stream_begin was called, unless there is an opening */
	/* Borrowed: the first line. The answer begins with it when there is something to tell, so that what fails before has a status. */
	const char *opening, *opening_id;
	bool quiet, loading, pushing;
	bool gone; /* the client is: the work is cancelled */
};
struct progress progress_stream_callbacks(struct progress_stream *p);
/* A line {"status": …, "id": …}; id may be NULL. */
void progress_stream_status(struct progress_stream *p, const char *id, const char *status);
/* The error (owned; NULL: none) as the stream's last object, and its end; it is returned when nothing has been sent. */
_must_check_ struct err *progress_stream_end(struct progress_stream *p, struct err *e);

#endif
