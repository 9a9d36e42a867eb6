/* tests/tap/apps.c: the programs inside the stack.
 *
 *	port	program
 *	   7	echo: what comes goes back
 *	   9	sink: reads the pattern to its end, then says how much there was, then closes
 *	  10	slow sink: the same, but reads nothing for two seconds: its window closes
 *	  11	forget: reads without looking, for benchmarks
 *	  13	reset: reads something, then aborts
 *	  19	source: reads a line "N\n", sends N octets of the pattern, shuts down, reads the pattern to the end of stream
 *	  80	http: "GET /N": N octets of the pattern, connections are kept
 *	5201	iperf3 (iperf.c)
 *
 * A client does the same from the other side. Octet i of every stream is octet i of a pattern that both sides have, so a lost, doubled or
 * misplaced octet is seen where it arrives. A program acts when an event or its own wake_ns says so, and then does all it can: an event
 * that the stack forgets is a hang, which the peer's script finds.
 */
#include "driver.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNKS_AT_ONCE 64 /* of one run(): then others have a turn */
#define SLOW_NS UINT64_C(2000000000)

static void echo_run(struct app *a)
{
	for (int i = 0; a->is_used && i < CHUNKS_AT_ONCE; i++) {
		if (a->buf_at < a->buf_used && !app_send_buf(a))
			return;
		a->buf_at = a->buf_used = 0;
		if (a->got_eof) {
			app_end(a, NULL, false);
			return;
		}
		if (app_recv(a, BUF) < 0)
			return;
	}
	a->wake_ns = a->d->now_ns;
}

static bool read_all(struct app *a)
{
	for (int i = 0; a->is_used && i < CHUNKS_AT_ONCE; i++) {
		if (a->got_eof)
			return true;
		if (app_recv_pattern(a, UINT64_MAX) < 0)
			return false;
	}
	if (a->is_used)
		a->wake_ns = a->d->now_ns;
	return false;
}

static void sink_run(struct app *a)
{
	if (a->step == 0) {
		if (!read_all(a))
			return;
		a->buf_used =
			(uint32_t)snprintf((char *)a->buf, BUF, "%" PRIu64 " %s\n", a->got, a->wrong ? a->wrong : "ok");
		a->step = 1;
	}
	if (app_send_buf(a))
		app_end(a, a->wrong, false);
}

static void slow_run(struct app *a)
{
	if (a->d->now_ns < a->begun_ns + SLOW_NS)
		a->wake_ns = a->begun_ns + SLOW_NS;
	else
		sink_run(a);
}

static void forget_run(struct app *a)
{
	struct berth_part v[2];

	for (int i = 0; i < CHUNKS_AT_ONCE; i++) {
		int64_t n = berth_sock_rx_peek(a->d->st, a->sock, v);

		if (n > 0 && berth_sock_rx_consume(a->d->st, a->sock, (uint32_t)n) == 0)
			continue;
		if (n != -EAGAIN)
			app_end(a, NULL, false);
		return;
	}
	a->wake_ns = a->d->now_ns;
}

static void reset_run(struct app *a)
{
	int64_t n = app_recv(a, BUF);

	if (n >= 0)
		app_end(a, NULL, true);
}

/* A line's end in buf, or NULL: later. */
static uint8_t *read_until(struct app *a, const char *end)
{
	uint8_t *p;

	for (int i = 0; i < CHUNKS_AT_ONCE; i++) {
		p = a->buf_used ? memmem(a->buf, a->buf_used, end, strlen(end)) : NULL;
		if (p || a->got_eof)
			return p;
		/* one at a time, so that nothing behind the line is taken */
		if (app_recv(a, 1) < 0)
			return NULL;
		if (a->buf_used == BUF) {
			app_end(a, "line-too-long", true);
			return NULL;
		}
	}
	a->wake_ns = a->d->now_ns;
	return NULL;
}

static void source_run(struct app *a)
{
	if (a->step == 0) {
		if (!read_until(a, "\n")) {
			if (a->is_used && a->got_eof)
				app_end(a, "no-line", true);
			return;
		}
		a->want = strtoull((const char *)a->buf, NULL, 10);
		a->step = 1;
	}
	if (a->step == 1) {
		if (!app_send_pattern(a))
			return;
		app_shut(a);
		a->step = 2;
	}
	if (read_all(a))
		app_end(a, a->wrong, false);
}

static void http_run(struct app *a)
{
	for (int i = 0; a->is_used && i < CHUNKS_AT_ONCE; i++) {
		if (a->step == 0) {
			if (!read_until(a, "\r\n\r\n")) {
				if (a->is_used && a->got_eof)
					app_end(a, a->buf_used ? "half-a-request" : NULL, false);
				return;
			}
			a->want = memcmp(a->buf, "GET /", 5) == 0 ? strtoull((const char *)a->buf + 5, NULL, 10) : 0;
			a->sent = 0;
			a->buf_at = 0;
			a->buf_used =
				(uint32_t)snprintf((char *)a->buf, BUF,
						   "HTTP/1.1 200 OK\r\nContent-Length: %" PRIu64 "\r\n\r\n", a->want);
			a->step = 1;
		}
		if (a->step == 1) {
			if (!app_send_buf(a))
				return;
			a->step = 2;
		}
		if (!app_send_pattern(a))
			return;
		a->buf_at = a->buf_used = 0;
		a->step = 0;
	}
	if (a->is_used)
		a->wake_ns = a->d->now_ns;
}

/* --- clients --- */

static void send_run(struct app *a)
{
	char expect[48];

	if (a->step == 0) {
		if (!app_send_pattern(a))
			return;
		app_shut(a);
		a->step = 1;
	}
	while (!a->got_eof)
		if (app_recv(a, BUF - a->buf_used) < 0)
			return;
	snprintf(expect, sizeof(expect), "%" PRIu64 " ok\n", a->want);
	app_end(a, a->buf_used == strlen(expect) && memcmp(a->buf, expect, a->buf_used) == 0 ? NULL : "wrong-answer",
		false);
}

static void fetch_run(struct app *a)
{
	if (a->step == 0) {
		a->buf_used = (uint32_t)snprintf((char *)a->buf, BUF, "%" PRIu64 "\n", a->want);
		a->step = 1;
	}
	if (a->step == 1) {
		if (!app_send_buf(a))
			return;
		a->step = 2;
	}
	if (read_all(a))
		app_end(a, a->wrong ? a->wrong : a->got != a->want ? "too-short" : NULL, false);
}

/* Both directions at the same time. */
static void echo_client_run(struct app *a)
{
	if (!a->is_shut && app_send_pattern(a))
		app_shut(a);
	if (a->is_used && read_all(a))
		app_end(a, a->wrong ? a->wrong : a->got != a->want ? "too-short" : NULL, false);
}

/* The peer sends all it has only after our end of stream: "N\n", FIN, then N octets. */
static void half_run(struct app *a)
{
	if (a->step == 0) {
		a->buf_used = (uint32_t)snprintf((char *)a->buf, BUF, "%" PRIu64 "\n", a->want);
		a->step = 1;
	}
	if (a->step == 1) {
		if (!app_send_buf(a))
			return;
		app_shut(a);
		a->step = 2;
	}
	if (read_all(a))
		app_end(a, a->wrong ? a->wrong : a->got != a->want ? "too-short" : NULL, false);
}

static const struct role servers[] = {{"echo", 7, echo_run},	  {"sink", 9, sink_run},    {"slow", 10, slow_run},
				      {"forget", 11, forget_run}, {"reset", 13, reset_run}, {"source", 19, source_run},
				      {"http", 80, http_run}};
static const struct role clients[] = {{"send", 0, send_run},
				      {"fetch", 0, fetch_run},
				      {"echo", 0, echo_client_run},
				      {"half", 0, half_run}};

/* --- what they are made of --- */

void app_end(struct app *a, const char *wrong, bool reset)
{
	struct driver *d = a->d;
	int r;

	ASSERT(a->is_used && !a->is_listener);
	if (a->role == &iperf_role)
		iperf_ended(a);
	r = reset ? berth_sock_abort(d->st, a->sock) : berth_sock_close(d->st, a->sock);
	if (r < 0 && !wrong)
		wrong = "close";
	d->n_ended++;
	if (wrong && !a->is_client) /* what a client's end means, the script knows */
		d->n_wrong++;
	if (a->is_client)
		printf("end %s %s %" PRIu64 " %" PRIu64 "\n", a->id, wrong ? wrong : "ok", a->sent, a->got);
	else if (wrong)
		printf("note %s: %s, sent %" PRIu64 ", got %" PRIu64 "\n", a->role->name, wrong, a->sent, a->got);
	a->is_used = false;
	a->next_free = d->first_free;
	d->first_free = (uint32_t)(a - d->apps);
}

/* The connection is broken: a reset or a time-out. Whether that is wrong, the peer's script knows. */
static void broken(struct app *a, int64_t err)
{
	a->d->n_errors++;
	app_end(a, a->is_client ? strerrorname_np((int)-err) : NULL, false);
}

bool app_send_pattern(struct app *a)
{
	for (int i = 0; a->sent < a->want; i++) {
		struct driver *d = a->d;
		uint32_t at = (uint32_t)(a->sent % d->pattern_len), len = d->pattern_len - at;
		int64_t n;

		if (i >= CHUNKS_AT_ONCE) {
			a->wake_ns = d->now_ns;
			return false;
		}
		if (len > a->want - a->sent)
			len = (uint32_t)(a->want - a->sent);
		n = berth_sock_send(d->st, a->sock, d->pattern + at, len, 0);
		if (n == -EAGAIN || n == 0)
			return false;
		if (n < 0) {
			broken(a, n);
			return false;
		}
		a->sent += (uint64_t)n;
	}
	return true;
}

bool app_send_buf(struct app *a)
{
	while (a->buf_at < a->buf_used) {
		int64_t n = berth_sock_send(a->d->st, a->sock, a->buf + a->buf_at, a->buf_used - a->buf_at, 0);

		if (n == -EAGAIN || n == 0)
			return false;
		if (n < 0) {
			broken(a, n);
			return false;
		}
		a->buf_at += (uint32_t)n;
	}
	return true;
}

int64_t app_recv(struct app *a, uint32_t max)
{
	int64_t n;

	if (max > BUF - a->buf_used)
		max = BUF - a->buf_used;
	if (max == 0) {
		app_end(a, "too-long", true);
		return -EAGAIN;
	}
	n = berth_sock_recv(a->d->st, a->sock, a->buf + a->buf_used, max);
	if (n < 0) {
		if (n != -EAGAIN)
			broken(a, n);
		return -EAGAIN;
	}
	if (n == 0)
		a->got_eof = true;
	a->buf_used += (uint32_t)n;
	return n;
}

/* Without a copy: from the ring. */
int64_t app_recv_pattern(struct app *a, uint64_t max)
{
	struct driver *d = a->d;
	struct berth_part v[2];
	uint64_t taken = 0;
	int64_t n = berth_sock_rx_peek(d->st, a->sock, v);
	int r;

	if (n < 0) {
		if (n != -EAGAIN)
			broken(a, n);
		return -EAGAIN;
	}
	if (n == 0) {
		a->got_eof = true;
		return 0;
	}
	for (int i = 0; i < 2; i++)
		for (uint32_t done = 0; done < v[i].len && taken < max && taken < (uint64_t)n;) {
			uint32_t at = (uint32_t)((a->got + taken) % d->pattern_len), len = d->pattern_len - at;

			if (len > v[i].len - done)
				len = v[i].len - done;
			if (len > max - taken)
				len = (uint32_t)(max - taken);
			if (!a->wrong && memcmp(v[i].data + done, d->pattern + at, len) != 0)
				a->wrong = "wrong-octets";
			done += len;
			taken += len;
		}
	r = berth_sock_rx_consume(d->st, a->sock, (uint32_t)taken);
	if (r < 0) {
		broken(a, r);
		return -EAGAIN;
	}
	a->got += taken;
	return (int64_t)taken;
}

void app_shut(struct app *a)
{
	int r;

	if (a->is_shut)
		return;
	a->is_shut = true;
	r = berth_sock_shutdown(a->d->st, a->sock, BERTH_SHUT_WR);
	if (r < 0 && !a->wrong)
		a->wrong = "shutdown";
}

/* --- their table --- */

static struct app *app_new(struct driver *d, const struct role *role)
{
	struct app *a;
	uint8_t *buf;
	uint32_t generation;

	if (d->first_free != NO_APP) {
		a = &d->apps[d->first_free];
		d->first_free = a->next_free;
	} else if (d->n_apps < DRIVER_APPS_MAX) {
		a = &d->apps[d->n_apps++];
	} else {
		return NULL;
	}
	buf = a->buf ? a->buf : malloc(BUF);
	generation = a->generation + 1;
	ASSERT(buf);
	*a = (struct app){.d = d, .role = role, .is_used = true, .generation = generation, .buf = buf};
	a->wake_ns = BERTH_NEVER;
	a->begun_ns = d->now_ns;
	return a;
}

static uint64_t user_of(const struct app *a)
{
	return (uint64_t)a->generation << 32 | (uint64_t)(a - a->d->apps);
}

static void run(struct app *a)
{
	a->wake_ns = BERTH_NEVER;
	a->role->run(a);
}

static void accept_all(struct app *l)
{
	struct driver *d = l->d;

	for (int i = 0; i < 1024; i++) {
		struct app *a = app_new(d, l->role);
		int r = a ? berth_sock_accept(d->st, l->sock, user_of(a), &a->sock, NULL) : -ENOBUFS;

		if (r < 0) {
			if (a) {
				a->is_used = false;
				a->next_free = d->first_free;
				d->first_free = (uint32_t)(a - d->apps);
			}
			if (r != -EAGAIN)
				printf("note accept: %s\n", strerrorname_np(-r));
			return;
		}
		a->is_connected = true;
		d->n_accepted++;
		run(a);
	}
}

static void connected(struct app *a)
{
	uint64_t err = 0;
	int r = berth_sock_get(a->d->st, a->sock, BERTH_SO_ERROR, &err);

	if (r < 0 || err)
		broken(a, r < 0 ? r : -(int64_t)err);
	else
		a->is_connected = true;
}

void apps_event(struct driver *d, const struct berth_event *ev)
{
	uint32_t i = (uint32_t)ev->user;
	struct app *a = i < d->n_apps ? &d->apps[i] : NULL;

	if (ev->sock == d->udp_echo) {
		udp_echo_run(d);
		return;
	}
	if ((ev->mask & BERTH_EV_CLOSED) || !a || !a->is_used || user_of(a) != ev->user)
		return;
	if (a->is_listener) {
		accept_all(a);
		return;
	}
	if (!a->is_connected && (ev->mask & (BERTH_EV_OUT | BERTH_EV_ERR | BERTH_EV_HUP)))
		connected(a);
	if (a->is_used && a->is_connected)
		run(a);
}

void apps_timers(struct driver *d)
{
	for (uint32_t i = 0; i < d->n_apps; i++)
		if (d->apps[i].is_used && d->apps[i].wake_ns <= d->now_ns)
			run(&d->apps[i]);
}

uint64_t apps_deadline(const struct driver *d)
{
	uint64_t at = BERTH_NEVER;

	for (uint32_t i = 0; i < d->n_apps; i++)
		if (d->apps[i].is_used && d->apps[i].wake_ns < at)
			at = d->apps[i].wake_ns;
	return at;
}

static int listen_on(struct driver *d, const struct role *role)
{
	struct berth_addr any = {.port = role->port};
	struct app *a = app_new(d, role);
	int r;

	ASSERT(a);
	a->is_listener = true;
	r = berth_sock_open(d->st, BERTH_TCP, BERTH_IPV6, user_of(a), &a->sock);
	if (r == 0)
		r = berth_sock_bind(d->st, a->sock, &any);
	if (r == 0)
		r = berth_sock_listen(d->st, a->sock, 512);
	return r;
}

void apps_init(struct driver *d)
{
	int r = 0;

	d->apps = calloc(DRIVER_APPS_MAX, sizeof(*d->apps));
	ASSERT(d->apps);
	d->first_free = NO_APP;
	for (size_t i = 0; r == 0 && i < COUNT_OF(servers); i++)
		r = listen_on(d, &servers[i]);
	if (r == 0)
		r = listen_on(d, &iperf_role);
	if (r < 0) {
		fprintf(stderr, "driver: listen: %s\n", strerror(-r));
		exit(1);
	}
	udp_echo_open(d);
}

int apps_connect(struct driver *d, const char *id, const char *role, const struct berth_addr *to, uint64_t want)
{
	const struct role *use = NULL;
	struct app *a;
	int r;

	for (size_t i = 0; i < COUNT_OF(clients); i++)
		if (strcmp(clients[i].name, role) == 0)
			use = &clients[i];
	a = use ? app_new(d, use) : NULL;
	if (!a)
		return use ? -ENOBUFS : -EINVAL;
	a->is_client = true;
	a->want = want;
	snprintf(a->id, sizeof(a->id), "%s", id);
	r = berth_sock_open(d->st, BERTH_TCP, to->ip[10] == 0xff && to->ip[0] == 0 ? BERTH_IPV4 : BERTH_IPV6,
			    user_of(a), &a->sock);
	if (r == 0) {
		r = berth_sock_connect(d->st, a->sock, to);
		if (r != -EINPROGRESS)
			broken(a, r);
		return 0;
	}
	a->is_used = false;
	a->next_free = d->first_free;
	d->first_free = (uint32_t)(a - d->apps);
	return r;
}
