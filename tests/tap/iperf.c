/* tests/tap/iperf.c: a server of iperf3's protocol, TCP, one test at a time, so that iperf3 itself can be the kernel's side.
 *
 * One control connection and n streams, all to the same port; each begins with the same cookie of 37 octets. On the control connection
 * one octet says a state, and JSON has its length in 4 octets before it:
 *
 *	client                                server
 *	cookie ---------------------------->
 *	       <--------------------------- 9  (send the parameters)
 *	JSON: parallel, reverse, ... ------>
 *	       <--------------------------- 10 (make the streams)
 *	n times connect, cookie ----------->
 *	       <--------------------------- 1, 2 (start, running)
 *	4 (the end) ----------------------->
 *	       <--------------------------- the streams are closed; 13 (exchange results)
 *	JSON ------------------------------>
 *	       <--------------------------- JSON, 14 (show them)
 *	16 (done) ------------------------->
 */
#include "driver.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COOKIE 37
#define STREAMS_MAX 32
enum {
	SAY_START = 1,
	SAY_RUNNING = 2,
	SAY_END = 4,
	SAY_PARAMETERS = 9,
	SAY_STREAMS = 10,
	SAY_RESULTS = 13,
	SAY_SHOW = 14,
	SAY_DONE = 16
};
enum step { STEP_COOKIE, STEP_PARAMETERS, STEP_WAIT, STEP_RUNNING, STEP_RESULTS, STEP_SHOWN, STEP_STREAM };

/* The only state of this file. A driver has one stack and one test. */
static struct {
	struct app *control;
	uint8_t cookie[COOKIE];
	bool reverse;
	uint64_t began_ns, took_ns;
	int n_wanted, n_streams;
	struct app *streams[STREAMS_MAX];
	uint64_t octets[STREAMS_MAX];
} test;

static void say(struct app *a, uint8_t what)
{
	if (a->is_used && berth_sock_send(a->d->st, a->sock, &what, 1, 0) != 1)
		app_end(a, "iperf-say", true);
}

void iperf_ended(struct app *a)
{
	if (a == test.control)
		test.control = NULL;
	for (int i = 0; i < test.n_streams; i++)
		if (test.streams[i] == a)
			test.streams[i] = NULL;
}

/* n octets in buf: true. They stay there. */
static bool have(struct app *a, uint32_t n)
{
	while (a->buf_used < n)
		if (app_recv(a, n - a->buf_used) <= 0) {
			if (a->is_used && a->got_eof)
				app_end(a, a->step == STEP_SHOWN ? NULL : "iperf-cut-off", false);
			return false;
		}
	return true;
}

/* A JSON text behind its length; NULL: later. */
static const char *json(struct app *a)
{
	uint32_t len;

	if (!have(a, 4))
		return NULL;
	len = (uint32_t)a->buf[0] << 24 | (uint32_t)a->buf[1] << 16 | (uint32_t)a->buf[2] << 8 | a->buf[3];
	if (len > BUF - 8) {
		app_end(a, "iperf-json", true);
		return NULL;
	}
	if (!have(a, 4 + len))
		return NULL;
	a->buf[4 + len] = '\0';
	return (const char *)a->buf + 4;
}

static int number_of(const char *text, const char *key, int otherwise)
{
	const char *p = strstr(text, key);

	p = p ? strchr(p, ':') : NULL;
	return p ? atoi(p + 1) : otherwise;
}

static void cookie_came(struct app *a)
{
	a->buf_used = 0;
	if (!test.control) {
		memset(&test, 0, sizeof(test));
		test.control = a;
		memcpy(test.cookie, a->buf, COOKIE);
		a->step = STEP_PARAMETERS;
		say(a, SAY_PARAMETERS);
	} else if (memcmp(test.cookie, a->buf, COOKIE) != 0 || test.n_streams >= test.n_wanted) {
		app_end(a, "iperf-busy", true);
	} else {
		test.streams[test.n_streams++] = a;
		a->step = STEP_STREAM;
		a->want = 0;
		if (test.n_streams < test.n_wanted)
			return;
		test.control->step = STEP_RUNNING;
		test.began_ns = a->d->now_ns;
		say(test.control, SAY_START);
		if (test.control)
			say(test.control, SAY_RUNNING);
		for (int i = 0; test.reverse && i < test.n_streams; i++)
			if (test.streams[i]) {
				test.streams[i]->want = UINT64_MAX;
				test.streams[i]->wake_ns = a->d->now_ns;
			}
	}
}

static void parameters_came(struct app *a, const char *text)
{
	test.n_wanted = number_of(text, "\"parallel\"", 1);
	test.reverse = strstr(text, "\"reverse\"") != NULL;
	a->buf_used = 0;
	if (test.n_wanted < 1 || test.n_wanted > STREAMS_MAX || strstr(text, "\"udp\"")) {
		app_end(a, "iperf-parameters", true);
		return;
	}
	a->step = STEP_WAIT;
	say(a, SAY_STREAMS);
}

static void test_over(struct app *a)
{
	test.took_ns = a->d->now_ns - test.began_ns;
	/* the end of stream is what a client waits for that reads whole blocks */
	for (int i = 0; i < test.n_streams; i++)
		if (test.streams[i])
			app_end(test.streams[i], NULL, false);
	a->buf_used = 0;
	a->step = STEP_RESULTS;
	say(a, SAY_RESULTS);
}

/* iperf3 numbers its streams 1, 3, 4, 5, ... */
static void answer_results(struct app *a)
{
	char *p = (char *)a->buf + 4;
	int n = snprintf(p, BUF - 4,
			 "{\"cpu_util_total\":0,\"cpu_util_user\":0,\"cpu_util_system\":0,"
			 "\"sender_has_retransmits\":0,\"streams\":[");

	for (int i = 0; i < test.n_streams; i++)
		n += snprintf(p + n, (size_t)(BUF - 4 - n),
			      "%s{\"id\":%d,\"bytes\":%" PRIu64
			      ",\"retransmits\":-1,\"jitter\":0,\"errors\":0,\"packets\":0,"
			      "\"start_time\":0,\"end_time\":%.6f}",
			      i ? "," : "", i ? i + 2 : 1, test.octets[i], (double)test.took_ns / 1e9);
	n += snprintf(p + n, (size_t)(BUF - 4 - n), "]}");
	for (int i = 0; i < 4; i++)
		a->buf[i] = (uint8_t)((unsigned)n >> (24 - 8 * i));
	a->buf_used = (uint32_t)n + 4;
	a->buf_at = 0;
	/* a few KiB on a connection that was silent: there is room */
	if (!app_send_buf(a)) {
		if (a->is_used)
			app_end(a, "iperf-results", true);
		return;
	}
	a->buf_used = a->buf_at = 0;
	a->step = STEP_SHOWN;
	say(a, SAY_SHOW);
}

static void stream_run(struct app *a)
{
	struct berth_part v[2];
	int at = -1;

	for (int i = 0; i < test.n_streams; i++)
		if (test.streams[i] == a)
			at = i;
	if (a->want > a->sent) {
		app_send_pattern(a);
		if (a->is_used && at >= 0)
			test.octets[at] = a->sent;
		return;
	}
	for (int i = 0; i < 64; i++) {
		int64_t n = berth_sock_rx_peek(a->d->st, a->sock, v);

		if (n > 0) {
			if (berth_sock_rx_consume(a->d->st, a->sock, (uint32_t)n) < 0)
				break;
			a->got += (uint64_t)n;
			if (at >= 0 && !test.reverse)
				test.octets[at] = a->got;
			continue;
		}
		if (n == 0 || n != -EAGAIN)
			app_end(a, NULL, false);
		return;
	}
	a->wake_ns = a->d->now_ns;
}

static void iperf_run(struct app *a)
{
	const char *text;

	switch ((enum step)a->step) {
	case STEP_COOKIE:
		if (have(a, COOKIE))
			cookie_came(a);
		return;
	case STEP_PARAMETERS:
		text = json(a);
		if (text)
			parameters_came(a, text);
		return;
	case STEP_WAIT:
	case STEP_RUNNING:
		if (!have(a, 1))
			return;
		if (a->step == STEP_RUNNING && a->buf[0] == SAY_END)
			test_over(a);
		else
			app_end(a, "iperf-broken-off", true);
		return;
	case STEP_RESULTS:
		text = json(a);
		if (text)
			answer_results(a);
		return;
	case STEP_SHOWN:
		if (have(a, 1))
			app_end(a, a->buf[0] == SAY_DONE ? NULL : "iperf-not-done", false);
		return;
	case STEP_STREAM:
		stream_run(a);
		return;
	}
}

const struct role iperf_role = {"iperf3", 5201, iperf_run};
