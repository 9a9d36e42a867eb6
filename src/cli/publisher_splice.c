/* src/cli/publisher_splice.c: octets between a caller's socket and a program that cannot be given it, or is not to be.
 *
 *     program ==AF_UNIX== in   pipe -->   out ==the kernel's TCP== caller
 *                             <-- pipe
 *
 * splice(2) moves pages from a socket into a pipe and from there into the other socket; nothing is copied here. A way takes a
 * pipe when there is something to move, and gives it back when it is empty, so a connection that is silent has two
 * descriptors and no memory but its struct. What a way has on it is at most what one pipe holds: while the other side
 * takes nothing, nothing is read, and who sends waits, as on TCP.
 *
 * One thread does it for all doors of a publisher, so that callers who come are not in the way of data, nor data in
 * theirs. It is woken by edges. A connection gets AT_ONCE moves a turn; if it could go on, the next turn is its again
 * after the others'.
 *
 *     one end shuts        the other side is told behind the last octet; the way back goes on
 *     the caller resets    both ways are over. AF_UNIX says ECONNRESET to who had sent what was not taken yet, else the end
 *     the program resets   (closes with something unread) the caller is reset
 *     it closes            what it had sent is delivered, then the kernel has the rest to do
 *     it reads no more     (SHUT_RD) what comes is taken and thrown away, as the kernel would
 *     we die               the caller is reset: half an answer must not look like a whole one. So SO_LINGER 0, which he has
 *                          from the door's socket, is taken back only when all is said
 *
 * So many are carried as there are descriptors for, pipes included; other callers wait (publisher_door.c). Should no pipe be had all the
 * same (the machine has no more files), the connection waits STARVED_MS and tries again.
 */
#include "cli/publisher_splice.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "network/raw.h"

#define AT_ONCE 16
#define PIECE_BYTES (256u << 10)
#define SPARE_PIPES 16
#define STARVED_MS 50
#define EVENTS_MAX 64
#define FILES_OF_ONE 6
#define FILES_OF_OTHERS 64  /* that may be opened later: doors, spare pipes */
#define IN_SNDBUF (1 << 20) /* the kernel clamps it to wmem_max */

struct way {
	int pipe[2]; /* -1: none, and then n is 0 */
	size_t n;    /* octets in it */
	bool ended;  /* who sends has shut */
	bool told;   /* and the other side knows; or nobody is there to be told */
	bool deaf;   /* the other side takes nothing any more */
	bool hungry; /* it had something to move and no pipe */
};

struct splice {
	struct splice *next_ready, *next_dead;
	bool ready, dead;
	int in, out;
	struct way go, come; /* to the program, to the caller */
};

static struct {
	int epoll, mail[2]; /* mail: pointers to new ones */
	struct splice *ready, **ready_end, *dead;
	int spare[SPARE_PIPES][2];
	unsigned n_spare;
	_Atomic unsigned n;
	unsigned n_files; /* when the first came */
} s = {.epoll = -1};

/* --- pipes --- */

static bool take_pipe(struct way *w)
{
	w->hungry = false;
	if (w->pipe[0] >= 0)
		return true;
	if (s.n_spare) {
		s.n_spare--;
		w->pipe[0] = s.spare[s.n_spare][0];
		w->pipe[1] = s.spare[s.n_spare][1];
		return true;
	}
	if (pipe2(w->pipe, O_CLOEXEC | O_NONBLOCK) == 0)
		return true;
	w->pipe[0] = w->pipe[1] = -1;
	w->hungry = true;
	return false;
}

static void give_pipe(struct way *w)
{
	if (w->pipe[0] < 0)
		return;
	if (w->n == 0 && s.n_spare < SPARE_PIPES) {
		s.spare[s.n_spare][0] = w->pipe[0];
		s.spare[s.n_spare++][1] = w->pipe[1];
	} else {
		close(w->pipe[0]);
		close(w->pipe[1]);
	}
	w->pipe[0] = w->pipe[1] = -1;
	w->n = 0;
}

/* --- its life --- */

static void enqueue(struct splice *c)
{
	if (c->ready || c->dead)
		return;
	c->ready = true;
	c->next_ready = NULL;
	*s.ready_end = c;
	s.ready_end = &c->next_ready;
}

/* Events of it may be in hand still: it is freed after them (bury_all()). */
static void end(struct splice *c, bool reset)
{
	const struct linger l = {.l_onoff = reset};

	(void)raw_pass(SYS_setsockopt, c->out, SOL_SOCKET, SO_LINGER, (long)&l, sizeof(l));
	raw_close(c->out);
	raw_close(c->in);
	give_pipe(&c->go);
	give_pipe(&c->come);
	c->dead = true;
	atomic_fetch_sub(&s.n, 1);
	c->next_dead = s.dead;
	s.dead = c;
}

static void bury_all(void)
{
	while (s.dead) {
		struct splice *c = s.dead;

		s.dead = c->next_dead;
		free(c);
	}
}

static bool program_is_gone(const struct splice *c)
{
	struct pollfd p = {.fd = c->in};

	return poll(&p, 1, 0) == 1 && p.revents & (POLLHUP | POLLERR);
}

/* --- data --- */

static bool later(long r)
{
	return r == -EAGAIN || r == -EINTR || r == -ENOBUFS || r == -ENOMEM;
}

static long move(int from, int to)
{
	return raw_call(SYS_splice, from, 0, to, 0, PIECE_BYTES, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
}

/* Return: 1, go on; 0, nothing can be done now; negative errno of the side that gave or took. */
static int carry(struct way *w, int from, int to)
{
	long r;

	if (!w->n && !w->ended) {
		if (!take_pipe(w))
			return 0;
		r = move(from, w->pipe[1]);
		if (r <= 0)
			give_pipe(w);
		if (r < 0)
			return later(r) ? 0 : (int)r;
		w->n = (size_t)r;
		w->ended = r == 0;
	}
	if (w->n) {
		r = move(w->pipe[0], to);
		if (r < 0)
			return later(r) ? 0 : (int)r;
		w->n -= (size_t)r < w->n ? (size_t)r : w->n;
		if (w->n == 0)
			give_pipe(w);
		return 1;
	}
	if (w->ended && !w->told) {
		(void)raw_pass(SYS_shutdown, to, SHUT_WR, 0, 0, 0);
		w->told = true;
	}
	return 0;
}

/* What the program does not want to read. */
static int throw_away(struct way *w, int from)
{
	long r;

	if (w->ended)
		return 0;
	r = raw_call(SYS_recvfrom, from, 0, PIECE_BYTES, MSG_TRUNC | MSG_DONTWAIT, 0, 0);
	if (r < 0)
		return later(r) ? 0 : (int)r;
	w->ended = w->told = r == 0;
	return r > 0;
}

/* To the program. Return: as carry(). */
static int go(struct splice *c)
{
	int r;

	if (c->go.deaf && program_is_gone(c))
		return 0;
	if (c->go.deaf) {
		give_pipe(&c->go);
		return throw_away(&c->go, c->out);
	}
	r = carry(&c->go, c->out, c->in);
	if (r != -EPIPE)
		return r;
	/* It has closed, and what it sent before is on its way still; or it reads no more. */
	c->go.deaf = true;
	return 1;
}

/* Those ways that may have something to do; either may make work for the other only by way of an event. */
static void pump(struct splice *c, bool goes, bool comes)
{
	int r = goes, k = comes;

	for (int i = 0; i < AT_ONCE && (r > 0 || k > 0); i++) {
		k = k > 0 ? carry(&c->come, c->in, c->out) : 0;
		r = k < 0 ? k : r > 0 ? go(c) : 0;
		if (r < 0) { /* the caller is gone, or the program left something unread */
			end(c, true);
			return;
		}
	}
	if (c->come.told && ((c->go.ended && c->go.told) || program_is_gone(c))) {
		end(c, c->go.n != 0); /* what was taken and nobody reads is a reset */
		return;
	}
	if (r > 0 || k > 0 || c->go.hungry || c->come.hungry)
		enqueue(c);
}

/* --- the thread --- */

/* Which of its two sockets an event is of: the lowest bit of the pointer. */
#define OF_OUT ((uintptr_t)1)

static void on_event(struct splice *c, bool of_out, uint32_t events)
{
	bool said = events & ~(uint32_t)EPOLLOUT, room = events & EPOLLOUT;

	if (c->dead || c->ready)
		return;
	if (of_out)
		pump(c, said, room && c->come.n);
	else
		pump(c, (room && c->go.n) || events & EPOLLHUP, said);
}

static void begin(struct splice *c)
{
	struct epoll_event in = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.u64 = (uintptr_t)c};
	struct epoll_event out = {.events = in.events, .data.u64 = (uintptr_t)c | OF_OUT};

	if (epoll_ctl(s.epoll, EPOLL_CTL_ADD, c->in, &in) < 0 || epoll_ctl(s.epoll, EPOLL_CTL_ADD, c->out, &out) < 0) {
		end(c, true);
		return;
	}
	pump(c, true, true);
}

static void take_mail(void)
{
	struct splice *c[32];
	ssize_t n;

	while ((n = read(s.mail[0], (void *)c, sizeof(c))) > 0)
		for (size_t i = 0; i < (size_t)n / sizeof(*c); i++)
			begin(c[i]);
}

/* Those that could go on. Return: how long to sleep: 0, somebody still could; -1, until something happens. */
static int serve_ready(void)
{
	struct splice *c = s.ready, *next;
	int wait_ms = -1;

	s.ready = NULL;
	s.ready_end = &s.ready;
	for (; c; c = next) {
		next = c->next_ready;
		c->ready = false;
		if (!c->dead)
			pump(c, true, true);
	}
	for (c = s.ready; c && wait_ms; c = c->next_ready)
		wait_ms = c->go.hungry || c->come.hungry ? STARVED_MS : 0;
	return wait_ms;
}

static void *carry_all(void *arg)
{
	struct epoll_event e[EVENTS_MAX];
	int wait_ms = -1;

	(void)arg;
	for (;;) {
		int n = epoll_wait(s.epoll, e, COUNT_OF(e), wait_ms);

		for (int i = 0; i < n; i++) {
			uintptr_t of = (uintptr_t)e[i].data.u64;

			if (!of)
				take_mail();
			else
				on_event((struct splice *)(of & ~OF_OUT), of & OF_OUT, e[i].events);
		}
		wait_ms = serve_ready();
		bury_all();
	}
	return NULL;
}

static int start(int in)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = 0};
	pthread_attr_t small;
	pthread_t t;
	int r = 0;

	if (s.epoll >= 0)
		return 0;
	s.ready_end = &s.ready;
	s.n_files = (unsigned)in;
	if (pipe2(s.mail, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	s.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (s.epoll < 0 || epoll_ctl(s.epoll, EPOLL_CTL_ADD, s.mail[0], &e) < 0)
		r = -errno;
	pthread_attr_init(&small);
	(void)pthread_attr_setstacksize(&small, 65536 < PTHREAD_STACK_MIN ? PTHREAD_STACK_MIN : 65536);
	if (r == 0)
		r = -pthread_create(&t, &small, carry_all, NULL);
	if (r == 0) {
		pthread_detach(t);
		return 0;
	}
	if (s.epoll >= 0)
		close(s.epoll);
	s.epoll = -1;
	close(s.mail[0]);
	close(s.mail[1]);
	return r;
}

bool publisher_splice_has_room(void)
{
	struct rlimit files;

	return getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur == RLIM_INFINITY ||
	       s.n_files + FILES_OF_OTHERS + (atomic_load(&s.n) + UINT64_C(1)) * FILES_OF_ONE <= files.rlim_cur;
}

int publisher_splice(int in, int out)
{
	const int room = IN_SNDBUF, on = 1;
	struct splice *c;
	int r = start(in);

	if (r < 0)
		return r;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	*c = (struct splice){.in = in, .out = out, .go.pipe = {-1, -1}, .come.pipe = {-1, -1}};
	(void)raw_pass(SYS_setsockopt, in, SOL_SOCKET, SO_SNDBUF, (long)&room, sizeof(room));
	/* What the program has sent is not to wait here a second time; and a machine that vanished is noticed. */
	(void)raw_pass(SYS_setsockopt, out, IPPROTO_TCP, TCP_NODELAY, (long)&on, sizeof(on));
	(void)raw_pass(SYS_setsockopt, out, SOL_SOCKET, SO_KEEPALIVE, (long)&on, sizeof(on));
	atomic_fetch_add(&s.n, 1);
	if (write(s.mail[1], (void *)&c, sizeof(c)) != (ssize_t)sizeof(c)) {
		atomic_fetch_sub(&s.n, 1);
		free(c);
		return -EAGAIN;
	}
	return 0;
}
