/* src/cli/publisher_loop.c: the publisher's life: ports are taken, doors open and close with the program's listeners.
 *
 *     callers, a door's socket   --> door_serve()
 *     the network's change word  --> who listens now? doors open; with -P, new ones are made
 *     time, while a door is open --> does the program still listen? else the door closes
 *     a signal                   --> this record was asked to end; all of us are
 *     the run, or the host's last program, is over --> all of us are
 *
 * That somebody begins to listen is told (network_change_word()), that a process died is not: so open doors are looked
 * at every TICK_MS. With no door open nothing wakes up but for a change. Word and lock can only be slept on, so
 * two threads sleep on them and ring eventfds; everything else is done by one.
 *
 * Ports are given back by closing their sockets, then the record; when we are killed the kernel does both.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cli/published.h"
#include "cli/publisher.h"
#include "cli/publisher_door.h"
#include "net2/net2.h"
#include "network/raw.h"

#define TICK_MS 20
#define RETRY_MS 2    /* while callers wait for room */
#define STARVED_MS 50 /* without descriptors: until we try again */
#define LOOK_US 100
#define LOOK_SKIP_MAX 256
#define CALM_US 500 /* between two looks at what changed; and at least CALM_TIMES as long as the last one took */
#define CALM_MAX_US 20000
#define CALM_TIMES 8
#define WITHOUT_US 200000
#define TOLD_MAX 16

enum { EV_CHANGE, EV_SIGNAL, EV_LIFE, EV_HOST, EV_UDP = PUBLISH_UDP_EVENT, EV_FIRST_POINTER = 4096 };

static struct loop {
	struct doors doors;
	struct publication *all;
	bool automatic; /* -P */
	int news, records, change, signals, host_file, host_over;
	uint64_t tick_us, starved_us;
	bool starved, refused; /* refused: the last caller could not be accepted */
	bool told_starved;
} l;

static void tell(enum publisher_news_kind kind, const char *text)
{
	struct publisher_news n = {.kind = kind};
	struct iovec iov = {&n, sizeof(n)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	snprintf(n.text, sizeof(n.text), "%s", text);
	if (l.news >= 0)
		(void)raw_pass(SYS_sendmsg, l.news, (long)&m,
			       MSG_NOSIGNAL | (kind == PUBLISHER_LINE ? MSG_DONTWAIT : 0), 0, 0);
}

static void say(const char *fmt, ...) PRINTF_LIKE(1, 2);
static void say(const char *fmt, ...)
{
	char text[500];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	tell(PUBLISHER_LINE, text);
}

/* --- publications --- */

static void note(struct publication *p)
{
	uint32_t up = publication_n_up(p);
	bool spliced = publication_is_spliced(p);

	if (up == p->said.n_up && spliced == p->said.spliced)
		return;
	p->said.n_up = up;
	p->said.spliced = spliced;
	if (network_publish_set(l.doors.net, l.records, p->record, &p->said) < 0)
		p->said.n_up = UINT32_MAX; /* a full disk: again at the next change */
}

static void end_one(struct publication **at)
{
	struct publication *p = *at;
	uint32_t record = p->record;

	*at = p->next;
	publication_free(&l.doors, p);
	network_publish_drop(l.records, record);
}

_Noreturn static void end_all(int status)
{
	while (l.all)
		end_one(&l.all);
	if (l.doors.udp)
		publish_udp_free(l.doors.udp);
	_exit(status);
}

static bool addrs_meet(const struct port_addr *a, const struct port_addr *b)
{
	return port_addr_is4(a) == port_addr_is4(b) &&
	       (port_addr_equal(a, b) || port_addr_is_any(a) || port_addr_is_any(b));
}

/* Of a large range most ports are not held, so bind() alone would not tell that one of them is asked for once more. */
static bool asked_for_twice(const struct publish_spec *s, char *text, size_t size_bytes)
{
	for (const struct publication *p = l.all; p && !s->automatic && s->outer.first; p = p->next) {
		const struct network_published *had = &p->said;
		uint16_t port = s->outer.first > had->outer.first ? s->outer.first : had->outer.first;
		char endpoint[PORT_ENDPOINT_STR_MAX];

		if (had->proto != s->proto || port > s->outer.last || port > had->outer.last)
			continue;
		for (uint32_t i = 0; i < s->n_addrs * had->n_addrs; i++) {
			const struct port_addr *a = &s->addrs[i / had->n_addrs];

			if (!addrs_meet(a, &had->addrs[i % had->n_addrs]))
				continue;
			snprintf(text, size_bytes, "cannot publish %s: it is asked for twice, for %s:%u, too",
				 published_door(a, port, endpoint), l.doors.host.name,
				 had->inner + (unsigned)(port - had->outer.first));
			return true;
		}
	}
	return false;
}

/* Return: it; NULL, and *text says why. */
static struct publication *add(const struct publish_spec *s, char *text, size_t size_bytes)
{
	struct publication *p, **at = &l.all;
	int r;

	if (asked_for_twice(s, text, size_bytes))
		return NULL;
	p = publication_new(&l.doors, s, text, size_bytes);
	if (!p)
		return NULL;
	p->said.since_unix_s = (uint64_t)time(NULL);
	r = network_publish_put(l.doors.net, l.records, &p->said);
	if (r < 0) {
		snprintf(text, size_bytes, "cannot publish %s: %s", s->text,
			 r == -ENOSPC ? "this network has as many published ports as it can have" : strerror(-r));
		publication_free(&l.doors, p);
		return NULL;
	}
	p->record = (uint32_t)r;
	while (*at)
		at = &(*at)->next;
	*at = p;
	return p;
}

static void say_where(const struct publication *p)
{
	char endpoint[PORT_ENDPOINT_STR_MAX];

	say("%s leads to %s:%u%s", published_door(&p->said.addrs[0], p->said.outer.first, endpoint), l.doors.host.name,
	    p->said.inner, p->said.proto == PORT_UDP ? "/udp" : "");
}

/* --- what the host's programs listen on --- */

static uint64_t listening[65536 / 64], bound[65536 / 64], named[65536 / 64];

static bool listens(uint32_t port)
{
	return listening[port / 64] >> (port % 64) & 1;
}

static bool is_bound(uint32_t port)
{
	return bound[port / 64] >> (port % 64) & 1;
}

static bool is_named(uint32_t port)
{
	return named[port / 64] >> (port % 64) & 1;
}

/* Every port of the host that a TCP socket listens on, or a UDP socket has (and asked for by number), in one visit to its table. False: it could
 * not be read. */
static bool read_listening(void)
{
	struct network_lock lock;
	struct port_claim c;
	struct port_ref ref;
	uint32_t cursor = 0;

	memset(listening, 0, sizeof(listening));
	memset(bound, 0, sizeof(bound));
	memset(named, 0, sizeof(named));
	if (network_lock(l.doors.net, l.doors.host.index, &lock) < 0)
		return false;
	while (port_table_next(&lock.table, &cursor, &ref, &c)) {
		uint64_t bit = UINT64_C(1) << (c.port % 64);

		if (c.proto == PORT_TCP && c.state == CLAIM_LISTENING)
			listening[c.port / 64] |= bit;
		else if (c.proto == PORT_UDP)
			bound[c.port / 64] |= bit;
		if (c.proto == PORT_UDP && !(c.flags & PORT_AUTOBOUND))
			named[c.port / 64] |= bit;
	}
	network_unlock(&lock);
	return true;
}

static bool is_published(uint32_t port, enum port_proto proto)
{
	for (const struct publication *p = l.all; p; p = p->next)
		if (p->said.proto == proto && port >= p->said.inner &&
		    port <= p->said.inner + (uint32_t)(p->said.outer.last - p->said.outer.first))
			return true;
	return false;
}

/* Let the doors of one open that can. */
static bool open_doors(struct publication *p)
{
	bool any = false;

	for (uint32_t i = 0; i < p->n_doors; i++)
		if (!p->doors[i].open && listens(p->doors[i].inner))
			any |= door_try(&l.doors, &p->doors[i]);
	if (any)
		note(p);
	return any;
}

/* Let it be heard if it is. */
static bool look_at(struct publication *p)
{
	if (p->said.proto == PORT_TCP)
		return open_doors(p);
	if (publication_look_udp(&l.doors, p, is_bound))
		note(p);
	return p->said.n_up != 0;
}

/* -P: on its own number if that is free. */
static void publish_one(uint16_t port, enum port_proto proto)
{
	static unsigned n_told; /* a resolver binds a port for each question it asks */
	struct publish_spec s = {.proto = proto, .n_addrs = 2, .automatic = true};
	struct publication *p, **at = &l.all;
	char text[400];

	snprintf(s.text, sizeof(s.text), "%u", port);
	s.addrs[0] = PORT_ADDR_LOOP4;
	s.addrs[1] = PORT_ADDR_LOOP6;
	s.outer = s.inner = (struct port_range){port, port};
	p = add(&s, text, sizeof(text));
	if (!p) {
		say("%s", text);
		return;
	}
	if (look_at(p)) {
		if (proto == PORT_TCP || n_told < TOLD_MAX)
			say_where(p);
		if (proto == PORT_UDP && ++n_told == TOLD_MAX)
			say("more UDP ports are published as they are bound, and not told: berth ls shows them");
		return;
	}
	while (*at != p) /* it was killed, and its claim is still there */
		at = &(*at)->next;
	end_one(at);
}

/* -P: what listens, or has a UDP port that it named, and is not published. */
static void publish_new(void)
{
	for (uint32_t port = 1; port < 65536; port++) {
		if (listens(port) && !is_published(port, PORT_TCP))
			publish_one((uint16_t)port, PORT_TCP);
		if (is_named(port) && !is_published(port, PORT_UDP))
			publish_one((uint16_t)port, PORT_UDP);
	}
}

/* -P: what nobody has any more. */
static void end_unused(void)
{
	for (struct publication **at = &l.all; *at;)
		if ((*at)->said.automatic && (*at)->said.n_up == 0)
			end_one(at);
		else
			at = &(*at)->next;
}

static void starve(bool on, int err)
{
	struct rlimit files = {0};

	l.starved = on;
	for (struct door *door = l.doors.open; door; door = door->next_open)
		if (on || door->n_waiting < DOOR_WAITING_MAX)
			door_pause(&l.doors, door, on);
	if (!on)
		return;
	l.starved_us = network_now_us() + STARVED_MS * 1000;
	if (l.told_starved)
		return;
	l.told_starved = true;
	(void)getrlimit(RLIMIT_NOFILE, &files);
	say("the publisher has no descriptors left (%s, limit %lu): callers wait until it has", strerrorname_np(-err),
	    (unsigned long)files.rlim_cur);
}

/* `berth net rm -f`: nobody can be brought to a program any more. */
static void end_if_gone(void)
{
	struct stat st;

	if (fstat(l.records, &st) < 0 || st.st_nlink)
		return;
	say("the network of host '%s' was removed", l.doors.host.name);
	end_all(0);
}

static _Atomic uint32_t calm_us = CALM_US;

static void look(void)
{
	uint64_t began = network_now_us(), took;

	end_if_gone();
	if (!read_listening())
		return;
	l.doors.starved = 0;
	for (struct publication *p = l.all; p; p = p->next)
		(void)look_at(p);
	if (l.automatic) {
		end_unused();
		publish_new();
	}
	if (l.doors.starved)
		starve(true, l.doors.starved);
	else if (!l.refused)
		l.told_starved = false;
	took = (network_now_us() - began) * CALM_TIMES;
	calm_us = took > CALM_MAX_US ? CALM_MAX_US : took < CALM_US ? CALM_US : (uint32_t)took;
}

/* Every open door: does somebody still listen behind it? */
static void tick(void)
{
	struct door *next;

	end_if_gone();
	for (struct door *door = l.doors.open; door; door = next) {
		next = door->next_open;
		bool outside = door->acceptor.outside;

		if (!door_check(&l.doors, door) || door->acceptor.outside != outside)
			note(door->of);
	}
	end_unused();
}

/* --- threads that sleep --- */

static void ring(int fd)
{
	const uint64_t one = 1;

	(void)!write(fd, &one, sizeof(one));
}

/* Rings for the value it goes to sleep on, so that a change between the two is not missed. */
static void *sleep_on_change(void *arg)
{
	struct network *n = arg;

	for (;;) {
		uint32_t seen = network_change_seen(n);

		ring(l.change);
		raw_sleep_us(calm_us); /* a program that binds very often is looked at less often */
		while (network_change_seen(n) == seen) {
			struct stat st;

			if (network_change_wait(n, seen, -1) == -EUCLEAN)
				raw_sleep_us(WITHOUT_US); /* the network is gone, or being mended */
			if (fstat(l.records, &st) == 0 && !st.st_nlink)
				break; /* it is gone; no wait is longer than a second (network/change.c) */
		}
	}
	return NULL;
}

static void *sleep_on_host(void *arg)
{
	const struct doors *d = arg;

	while (network_publish_wait_host(l.host_file, d->host.index) == -EINTR)
		;
	ring(l.host_over);
	return NULL;
}

/* --- events --- */

static void on_signal(void)
{
	struct signalfd_siginfo si;

	while (read(l.signals, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		if (si.ssi_signo == SIGTERM || si.ssi_signo == SIGINT)
			end_all(0);
		if (si.ssi_signo != PUBLISH_SIGNAL)
			continue;
		for (struct publication **at = &l.all; *at;)
			if (network_publish_is_asked(l.records, (*at)->record))
				end_one(at);
			else
				at = &(*at)->next;
		if (!l.all && !l.automatic)
			end_all(0);
	}
}

static void on_event(const struct epoll_event *e)
{
	uint64_t n;
	int r;

	switch (e->data.u64) {
	case EV_CHANGE:
		(void)!read(l.change, &n, sizeof(n));
		look();
		return;
	case EV_SIGNAL:
		on_signal();
		return;
	case EV_UDP:
		if (publish_udp_event(l.doors.udp))
			look();
		return;
	case EV_LIFE:
	case EV_HOST:
		end_all(0);
	}
	r = door_serve(&l.doors, e->data.ptr);
	l.refused = door_is_starved(r);
	if (r == -ECONNREFUSED)
		l.tick_us = 0; /* one caller was reset: the next are refused */
	else if (r < 0)
		starve(true, r);
	else if (!l.doors.starved)
		l.told_starved = false;
}

/* --- looking before sleeping --- */

/* How often somebody else had this processor while we wanted it. */
static long times_left(void)
{
	struct rusage u;

	return getrusage(RUSAGE_THREAD, &u) == 0 ? u.ru_nivcsw : 0;
}

/* A caller who comes soon after another need not wait until an idle processor is awake, which on a virtual machine takes
 * longer than all the rest. As the library's receives do (shim/spin.c): a look that found somebody is followed by the
 * next, one that did not by 2, 4, 8 ... sleeps at once. One that somebody else's turn came in between of counts as such:
 * who wants this processor does not get it by our yielding alone (it is shared fairly, and we would be using our share),
 * and it may well be the program the caller was brought to. */
static int look_around(struct epoll_event *e, int max)
{
	static uint32_t skip, backoff = 1;
	uint64_t until;
	long left;
	int n;

	if (skip) {
		skip--;
		return 0;
	}
	left = times_left();
	until = network_now_us() + LOOK_US;
	do {
		(void)sched_yield();
		n = epoll_wait(l.doors.epoll, e, max, 0);
	} while (n == 0 && network_now_us() < until);
	if (n > 0 && times_left() == left) {
		backoff = 1;
	} else {
		skip = backoff;
		backoff = backoff < LOOK_SKIP_MAX ? backoff * 2 : backoff;
	}
	return n;
}

/* How long until something has to be done without anybody telling. */
static int patience_ms(uint64_t now)
{
	if (l.doors.n_waiting)
		return RETRY_MS;
	if (l.starved)
		return now >= l.starved_us ? 0 : (int)((l.starved_us - now + 999) / 1000);
	if (!l.doors.open)
		return -1;
	return now >= l.tick_us ? 0 : (int)((l.tick_us - now + 999) / 1000);
}

_Noreturn static void run(void)
{
	struct epoll_event e[32];
	bool served = false;

	for (;;) {
		uint64_t now = network_now_us();
		int n = served ? look_around(e, COUNT_OF(e)) : 0;

		if (n <= 0)
			n = epoll_wait(l.doors.epoll, e, COUNT_OF(e), patience_ms(now));
		served = false;

		for (int i = 0; i < n; i++) {
			/* What ended a publication made the rest of this list worthless: doors are gone. */
			on_event(&e[i]);
			if (e[i].data.u64 < EV_FIRST_POINTER)
				break;
			served = true;
		}
		now = network_now_us();
		if (l.starved && now >= l.starved_us) {
			starve(false, 0);
			look();
		}
		if (l.doors.n_waiting)
			for (struct door *door = l.doors.open; door; door = door->next_open)
				door_retry(&l.doors, door);
		if (l.doors.open && now >= l.tick_us) {
			tick();
			l.tick_us = network_now_us() + TICK_MS * 1000;
		}
	}
}

/* --- beginning --- */

/* Nothing of who started us stays: neither its terminal nor its pipes, which others may wait on. */
static void leave(const struct publisher_pipes *pipes)
{
	int low = pipes->news < pipes->life || pipes->life < 0 ? pipes->news : pipes->life;
	int high = pipes->news > pipes->life ? pipes->news : pipes->life, null;
	struct rlimit files;
	sigset_t all;

	if (low > 3)
		(void)close_range(3, (unsigned)low - 1, 0);
	if (high > low + 1)
		(void)close_range((unsigned)low + 1, (unsigned)high - 1, 0);
	(void)close_range((unsigned)high + 1, ~0u, 0);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd <= 2 && null >= 0; fd++)
		(void)dup2(null, fd);
	if (null > 2)
		close(null);
	(void)setsid();
	(void)!chdir("/");
	umask(077);
	prctl(PR_SET_NAME, NET2_PUBLISHER);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
}

static void watch(int fd, uint64_t key)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = key};

	(void)epoll_ctl(l.doors.epoll, EPOLL_CTL_ADD, fd, &e);
}

_Noreturn static void fail(const char *text)
{
	tell(PUBLISHER_FAILED, text);
	end_all(1);
}

static void begin_thread(void *(*f)(void *), void *arg)
{
	pthread_attr_t small;
	pthread_t t;

	pthread_attr_init(&small);
	(void)pthread_attr_setstacksize(&small, 65536 < PTHREAD_STACK_MIN ? PTHREAD_STACK_MIN : 65536);
	if (pthread_create(&t, &small, f, arg) != 0)
		fail("the publisher cannot be started: no threads left");
	pthread_detach(t);
}

_Noreturn void publisher_main(struct network *n, const struct publisher_order *o, const struct publisher_pipes *pipes)
{
	char text[400];
	sigset_t heard;

	l = (struct loop){.news = pipes->news, .automatic = o->all};
	l.doors = (struct doors){.net = n, .host = *o->host, .say = say};
	leave(pipes);
	sigemptyset(&heard);
	sigaddset(&heard, SIGTERM);
	sigaddset(&heard, SIGINT);
	sigaddset(&heard, PUBLISH_SIGNAL);
	l.signals = signalfd(-1, &heard, SFD_CLOEXEC | SFD_NONBLOCK);
	l.doors.epoll = epoll_create1(EPOLL_CLOEXEC);
	l.change = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	l.host_over = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	l.records = network_publish_open(n, true);
	l.host_file = network_publish_open(n, true);
	if (l.signals < 0 || l.doors.epoll < 0 || l.change < 0 || l.host_over < 0 || l.records < 0 || l.host_file < 0) {
		snprintf(text, sizeof(text), "the publisher cannot be started: %s",
			 strerror(l.records < 0 ? -l.records : errno));
		fail(text);
	}
	for (size_t i = 0; i < o->n_specs; i++)
		if (!add(&o->specs[i], text, sizeof(text)))
			fail(text);
	watch(l.signals, EV_SIGNAL);
	watch(l.change, EV_CHANGE);
	if (pipes->life >= 0)
		watch(pipes->life, EV_LIFE);
	else
		begin_thread(sleep_on_host, &l.doors);
	watch(l.host_over, EV_HOST);
	begin_thread(sleep_on_change, n);
	look(); /* what listens already is heard before anybody is told that it is published */
	for (size_t i = 0; i < o->n_specs; i++) {
		struct publication *p = l.all;

		for (size_t k = 0; k < i; k++)
			p = p->next;
		if (!o->specs[i].outer.first && !o->quiet)
			say_where(p);
	}
	tell(PUBLISHER_READY, "");
	run();
}
