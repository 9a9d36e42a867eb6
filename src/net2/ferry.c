/* src/net2/ferry.c: a connection to the outside that several processes have: octets are carried between two sockets.
 *
 * A program's socket becomes the kernel's when it is connected outside (shim/swap.c), and that can be done for the process
 * that connects only. Where another one has the socket too (fork, SCM_RIGHTS), it stays what it is, and its peer is
 * a socket of ours:
 *
 *     program's socket ==connected, in place== in     out ==the kernel's connection== outside
 *                                               \---/  that is us
 *
 *     under way       the program's send buffer holds filler, so that nobody finds it writable. It is ours to take
 *                     out, to the octet, when the connection is there
 *     refused         or timed out: the program's tag says so (SOCK_REFUSED) and `in` is closed: a hang-up, and SO_ERROR
 *                     says ECONNREFUSED
 *     data            a buffer of WAY_BYTES each way. Full: nothing more is taken, so who sends waits, as on TCP
 *     one end shuts   the other side is told after the last octet; the way back goes on
 *     an end is gone  what cannot be delivered is a reset outside; inside it is a hang-up and EPIPE
 *     we die          the program reads the end, as of a peer that died; the outside too
 *
 * Each turn is bounded, so that a busy connection does not keep the supervisor from the others.
 */
#include "net2/ferry.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "net2/echo.h"

#define WAY_BYTES 65536
#define AT_ONCE 16
#define PIECE_BYTES 16384 /* of filler */
#define DEPTH_MAX 64
#define KEY(id, out) (FERRY_KEYS << 60 | (id) << 1 | (out))

struct way {
	size_t head, n;
	bool ended, told; /* who sends has ended, and the other side knows */
	uint8_t buf[WAY_BYTES];
};

struct ferry {
	struct ferry *next;
	uint64_t id;
	uint64_t cookie; /* of the program's socket */
	int in, out;
	int program;	  /* while it is under way: the program's own socket; else -1 */
	size_t filler;	  /* octets of ours in it */
	uint32_t watched; /* both sides' events, as they are watched */
	struct way go, come;
};

static struct ferry *ferries;
static unsigned n_ferries;

/* --- who has it --- */

static bool has_it(int32_t pid, const char *link)
{
	char name[300], to[64];
	struct dirent *e;
	bool found = false;
	DIR *d;

	snprintf(name, sizeof(name), "/proc/%d/fd", pid);
	d = opendir(name);
	if (!d)
		return false;
	while (!found && (e = readdir(d)) != NULL) {
		ssize_t n = e->d_name[0] == '.' ? -1 : readlinkat(dirfd(d), e->d_name, to, sizeof(to) - 1);

		if (n > 0) {
			to[n] = '\0';
			found = strcmp(to, link) == 0;
		}
	}
	closedir(d);
	return found;
}

/* Does anybody below pid have it, who is not `but`? What the keeper started, and their orphans, is all below it. */
static bool below_has_it(int32_t pid, int32_t but, const char *link, unsigned depth)
{
	char name[300], text[600];
	struct dirent *e;
	bool found = false;
	DIR *d;

	snprintf(name, sizeof(name), "/proc/%d/task", pid);
	d = depth < DEPTH_MAX ? opendir(name) : NULL;
	while (d && !found && (e = readdir(d)) != NULL) {
		FILE *f;
		int child;

		snprintf(text, sizeof(text), "/proc/%d/task/%s/children", pid, e->d_name);
		f = e->d_name[0] == '.' ? NULL : fopen(text, "re");
		while (f && !found && fscanf(f, "%d", &child) == 1)
			found = (child != but && has_it(child, link)) || below_has_it(child, but, link, depth + 1);
		if (f)
			fclose(f);
	}
	if (d)
		closedir(d);
	return found;
}

/* Under the same number, anywhere: a child of fork(), also of who is not below us. */
static bool same_number(const struct target *t, int number)
{
	struct dirent *e;
	bool found = false;
	DIR *d = opendir("/proc");

	while (d && !found && (e = readdir(d)) != NULL) {
		int32_t pid = atoi(e->d_name);

		found = pid > 0 && pid != t->tgid && pid != getpid() &&
			syscall(SYS_kcmp, t->tgid, pid, KCMP_FILE, number, number) == 0;
	}
	if (d)
		closedir(d);
	return found;
}

bool ferry_is_shared(const struct target *t, int number, int fd)
{
	struct stat st;
	char link[64];

	if (fstat(fd, &st) < 0)
		return false;
	snprintf(link, sizeof(link), "socket:[%lu]", (unsigned long)st.st_ino);
	return same_number(t, number) || below_has_it(getpid(), t->tgid, link, 0);
}

/* --- its life --- */

static void watch(struct ferry *f)
{
	bool busy = f->program >= 0;
	uint32_t in = !busy && !f->go.n && !f->go.ended, in_room = f->come.n != 0;
	uint32_t out = !busy && !f->come.n && !f->come.ended, out_room = busy || f->go.n != 0;
	uint32_t want = in | in_room << 1 | out << 2 | out_room << 3;

	if (want == f->watched)
		return;
	f->watched = want;
	if (!busy)
		echo_watch(f->in, KEY(f->id, 0), in, in_room);
	echo_watch(f->out, KEY(f->id, 1), out, out_room);
}

static void unmake(struct ferry *f)
{
	struct ferry **at = &ferries;

	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	n_ferries--;
	close(f->in);
	close(f->out);
	if (f->program >= 0)
		close(f->program);
	free(f);
}

/* Something is lost: the outside is told by a reset. */
static void tear(struct ferry *f)
{
	struct linger l = {.l_onoff = 1};

	(void)setsockopt(f->out, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	unmake(f);
}

static bool later(int e)
{
	return e == EAGAIN || e == EINTR || e == ENOBUFS || e == ENOMEM;
}

/* --- under way --- */

static short look(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	return poll(&p, 1, 0) == 1 ? p.revents : 0;
}

/* Until it is not writable any more. */
static int fill(struct ferry *f)
{
	static const uint8_t nothing[PIECE_BYTES];

	while (look(f->program, POLLOUT) & POLLOUT) {
		ssize_t n = send(f->program, nothing, sizeof(nothing), MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		f->filler += (size_t)n;
	}
	return 0;
}

/* False: not all of it came, and something is wrong. */
static bool empty(struct ferry *f)
{
	while (f->filler) {
		size_t most = f->filler < WAY_BYTES ? f->filler : WAY_BYTES;
		ssize_t n = recv(f->in, f->go.buf, most, MSG_DONTWAIT);

		if (n <= 0)
			return false;
		f->filler -= (size_t)n;
	}
	return true;
}

static void refuse(struct ferry *f)
{
	struct tag t;

	if (tag_get(f->program, &t) == 0) {
		t.state = SOCK_REFUSED;
		t.flags = (uint16_t)((t.flags & ~TAG_FRESH) | TAG_SHUT_RD); /* it has a name: sock_revive() */
		tag_set(f->program, &t);
	}
	(void)empty(f);
	unmake(f);
}

/* Return: it is over, and f is gone. */
static bool arrive(struct ferry *f)
{
	socklen_t len = sizeof(int);
	int err = 0;

	if (!look(f->out, POLLOUT))
		return false;
	if (getsockopt(f->out, SOL_SOCKET, SO_ERROR, &err, &len) < 0 || err) {
		refuse(f);
		return true;
	}
	close(f->program);
	f->program = -1;
	if (!empty(f)) {
		tear(f);
		return true;
	}
	return false;
}

/* --- data --- */

/* Return: 1, go on; 0, nothing can be done now; -1, an end is gone. */
static int carry(struct way *w, int from, int to)
{
	ssize_t n;

	if (!w->n && !w->ended) {
		n = recv(from, w->buf, WAY_BYTES, MSG_DONTWAIT);
		if (n < 0)
			return later(errno) ? 0 : -1;
		w->head = 0;
		w->n = (size_t)n;
		w->ended = n == 0;
	}
	if (w->n) {
		n = send(to, w->buf + w->head, w->n, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0)
			return later(errno) ? 0 : -1;
		w->head += (size_t)n;
		w->n -= (size_t)n;
		return 1;
	}
	if (w->ended && !w->told) {
		(void)shutdown(to, SHUT_WR);
		w->told = true;
	}
	return 0;
}

/* False: an end is gone. */
static bool carry_all(struct way *w, int from, int to)
{
	int r = 1;

	for (int i = 0; i < AT_ONCE && r > 0; i++)
		r = carry(w, from, to);
	return r >= 0;
}

static void pump(struct ferry *f)
{
	if (f->program >= 0 && arrive(f))
		return;
	if (f->program < 0) {
		if (!carry_all(&f->go, f->in, f->out) || !carry_all(&f->come, f->out, f->in)) {
			tear(f);
			return;
		}
		/* Who has closed reads no more; the kernel waits for the outside's end by itself. */
		if (f->go.told && (f->come.told || (!f->come.n && look(f->in, 0) & POLLHUP))) {
			unmake(f);
			return;
		}
	}
	watch(f);
}

void ferry_event(uint64_t key)
{
	for (struct ferry *f = ferries; f; f = f->next)
		if (KEY(f->id, 0) == (key & ~UINT64_C(1))) {
			pump(f);
			return;
		}
}

/* --- beginning --- */

int ferry_begin(const struct network *n, int fd, int out)
{
	static uint64_t last_id;
	struct ferry *f;
	int r;

	for (f = ferries; f; f = f->next)
		if (f->cookie == sock_cookie(fd)) { /* asked again, because a signal came before our answer */
			close(out);
			return 0;
		}
	if (n_ferries == FERRIES_MAX)
		return -ENOBUFS;
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->program = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	f->out = out;
	f->in = f->program < 0 ? -errno : echo_meet(n, fd);
	if (f->in < 0) {
		r = f->in;
		if (f->program >= 0)
			close(f->program);
		free(f);
		return r;
	}
	f->id = ++last_id;
	f->cookie = sock_cookie(fd);
	f->next = ferries;
	ferries = f;
	n_ferries++;
	r = fill(f);
	if (r < 0) {
		f->out = fcntl(out, F_DUPFD_CLOEXEC, 3); /* the caller's */
		unmake(f);
		return r;
	}
	pump(f);
	return 0;
}
