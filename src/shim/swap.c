/* src/shim/swap.c: another socket behind the same descriptor number.
 *
 * What a program has is a number. dup3(2) puts another open file behind it in one step, but three things hang on
 * the file that was there, and have to be made again:
 *
 *     copies         other numbers of this process for the same socket (dup). Found by the inode
 *     registrations  an epoll watches a file, not a number. Its own /proc/self/fdinfo says which: number, events,
 *                    data and inode of each. They are taken out before the old socket goes, as nobody could do it
 *                    afterwards, and put in again with the new one under the same number
 *     flags          O_NONBLOCK and O_ASYNC, close-on-exec of each copy, who is sent SIGIO
 *
 * Order: the new socket is connecting already when it comes behind the number, so what an epoll finds when it
 * is put in is what a socket that is connecting shows, and not the "hung up" of a new one. Between taking out and
 * putting in, some microseconds, the epoll knows nothing of it, and misses nothing: putting in looks.
 *
 * Not found: copies in other processes (what goes outside is relayed there: shared.c), and epolls that only others have. They
 * keep the old socket (docs/outside.md). A registration with EPOLLONESHOT that had fired is armed again for errors
 * and hang-up, which an epoll adds by itself.
 *
 * To look at all descriptors costs more than a microsecond for each. So which numbers may be epolls is remembered
 * (a bit, from epoll_create() on, copied by dup()), and whether a socket of ours was ever copied in this process; the
 * first time all are looked at. Which of the epolls watches the socket kcmp(2) says without a list; the list of one that does is read, half
 * a microsecond an entry. An epoll made past libc after that first time, and copies made so, are not found.
 *
 * No memory but 8 KiB of stack, no lock. Another thread that closes the number meanwhile, and gets it back
 * for something else, is seen by one more look at the inode just before dup3(2); a microsecond is left.
 */
#include <linux/kcmp.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>

#include "shim/swap.h"
#include "shim/udp.h"

#define NAME_MAX_ 64
#define LINE_MAX_ 512 /* a registration's line has some 90 octets */

struct entry { /* struct linux_dirent64 */
	uint64_t ino, off;
	uint16_t len;
	uint8_t type;
	char name[];
};

/* --- names in /proc --- */

static char *put_text(char *at, const char *text)
{
	while (*text)
		*at++ = *text++;
	*at = '\0';
	return at;
}

static char *put_number(char *at, unsigned n)
{
	char digits[12];
	int i = 0;

	do
		digits[i++] = (char)('0' + n % 10);
	while ((n /= 10) != 0);
	while (i)
		*at++ = digits[--i];
	*at = '\0';
	return at;
}

/* "/proc/thread-self/fdinfo/7". Of the thread: its leader may have ended, and shows nothing then. */
static void proc_name(char name[NAME_MAX_], int pid, const char *folder, int fd)
{
	char *at = put_text(name, "/proc/");

	at = pid ? put_number(at, (unsigned)pid) : put_text(at, "thread-self");
	at = put_text(at, folder);
	if (fd >= 0)
		(void)put_number(at, (unsigned)fd);
}

/* --- one epoll's list --- */

/* The number behind `word` in a line, e.g. "ino:". */
static bool field(const char *line, const char *word, unsigned base, uint64_t *ret)
{
	const char *at = strstr(line, word);
	uint64_t v = 0;

	if (!at)
		return false;
	for (at += strlen(word); *at == ' '; at++)
		;
	for (; *at; at++) {
		unsigned digit = *at >= '0' && *at <= '9'   ? (unsigned)(*at - '0')
				 : *at >= 'a' && *at <= 'f' ? (unsigned)(*at - 'a' + 10)
							    : base;

		if (digit >= base)
			break;
		v = v * base + digit;
	}
	*ret = v;
	return true;
}

static void read_line(const char *line, int epoll, uint64_t inode, struct swap_places *p)
{
	uint64_t fd, events, data, ino;

	if (!field(line, "tfd:", 10, &fd) || !field(line, "events:", 16, &events) || !field(line, "data:", 16, &data) ||
	    !field(line, "ino:", 16, &ino) || ino != inode || p->n_watches == SWAP_WATCHES_MAX)
		return;
	p->watches[p->n_watches++] =
		(struct swap_watch){.epoll = epoll, .fd = (int)fd, .events = (uint32_t)events, .data = data};
}

static int read_epoll(int pid, int epoll, uint64_t inode, struct swap_places *p)
{
	char buf[2048 + 1], name[NAME_MAX_];
	size_t have = 0;
	int fd;

	proc_name(name, pid, "/fdinfo/", epoll);
	fd = raw_openat(AT_FDCWD, name, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	for (;;) {
		long n = raw_call(SYS_read, fd, (long)(buf + have), (long)(sizeof(buf) - 1 - have), 0, 0, 0);
		char *line = buf, *end;

		if (n == -EINTR)
			continue;
		if (n <= 0)
			break;
		have += (size_t)n;
		buf[have] = '\0';
		while ((end = memchr(line, '\n', have - (size_t)(line - buf))) != NULL) {
			*end = '\0';
			read_line(line, epoll, inode, p);
			line = end + 1;
		}
		have -= (size_t)(line - buf);
		if (have > sizeof(buf) - LINE_MAX_) /* no line is so long */
			have = 0;
		memmove(buf, line, have);
	}
	raw_close(fd);
	return 0;
}

/* --- all descriptors --- */

static bool is_epoll(int pid, int fd)
{
	static const char want[] = "anon_inode:[eventpoll]";
	char name[NAME_MAX_], to[sizeof(want)];

	proc_name(name, pid, "/fd/", fd);
	return raw_call(SYS_readlinkat, AT_FDCWD, (long)name, (long)to, sizeof(to), 0, 0) == sizeof(want) - 1 &&
	       memcmp(to, want, sizeof(want) - 1) == 0;
}

static int look_at(int pid, int fd, uint64_t inode, struct swap_places *p)
{
	char name[NAME_MAX_];
	struct stat st;
	int r;

	if (pid) {
		proc_name(name, pid, "/fd/", fd);
		r = stat(name, &st) < 0 ? -1 : 0;
	} else {
		r = raw_fstat(fd, &st);
	}
	if (r < 0)
		return 0;
	if (S_ISSOCK(st.st_mode)) {
		if (st.st_ino == inode && p->n_copies < SWAP_COPIES_MAX)
			p->copies[p->n_copies++] = fd;
	} else if (!(st.st_mode & S_IFMT) && is_epoll(pid, fd)) {
		if (!pid)
			swap_mark_epoll(fd);
		return read_epoll(pid, fd, inode, p);
	}
	return 0;
}

int swap_find(int pid, uint64_t inode, struct swap_places *ret)
{
	_Alignas(8) char buf[2048];
	char name[NAME_MAX_];
	int dir, saved = errno, err = 0;

	ret->n_copies = ret->n_watches = 0;
	proc_name(name, pid, "/fd", -1);
	dir = raw_openat(AT_FDCWD, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (dir < 0)
		return dir == -EMFILE || dir == -ENFILE ? dir : 0;
	for (;;) {
		long n = raw_getdents(dir, buf, sizeof(buf));

		if (n <= 0)
			break;
		for (long at = 0; at < n;) {
			const struct entry *e = (const void *)(buf + at);
			int fd = 0;

			for (const char *c = e->name; *c >= '0' && *c <= '9' && fd < 100000000; c++)
				fd = fd * 10 + (*c - '0');
			if (e->name[0] != '.' && (pid || fd != dir)) {
				int r = look_at(pid, fd, inode, ret);

				err = r == -EMFILE || r == -ENFILE ? r : err;
			}
			at += e->len;
		}
	}
	raw_close(dir);
	errno = saved;
	return err;
}

/* Close-on-exec, as /proc says of another process. */
bool swap_is_cloexec(int pid, int fd)
{
	char buf[256], name[NAME_MAX_];
	uint64_t flags;
	long n = -1;
	int file;

	proc_name(name, pid, "/fdinfo/", fd);
	file = raw_openat(AT_FDCWD, name, O_RDONLY | O_CLOEXEC, 0);
	if (file >= 0) {
		n = raw_call(SYS_read, file, (long)buf, sizeof(buf) - 1, 0, 0, 0);
		raw_close(file);
	}
	buf[n > 0 ? n : 0] = '\0';
	return field(buf, "flags:\t", 8, &flags) && flags & O_CLOEXEC;
}

/* --- which to look at --- */

_Atomic uint64_t swap_epolls[SWAP_FDS_MAX / 64];
_Atomic bool swap_all;

void swap_mark_epoll(int fd)
{
	if (fd >= SWAP_FDS_MAX)
		atomic_store(&swap_all, true);
	else if (fd >= 0)
		atomic_fetch_or_explicit(&swap_epolls[fd / 64], UINT64_C(1) << (fd % 64), memory_order_relaxed);
}

void swap_look(int fd)
{
	struct stat st;

	if (raw_fstat(fd, &st) == 0 && !(st.st_mode & S_IFMT) && is_epoll(0, fd))
		swap_mark_epoll(fd);
}

/* --- swapping --- */

#ifdef BERTH_NET2
/* The supervisor has a copy of the program's socket; what the program has of it is net2/replace.c's. */
int swap_socket(int fd, int fresh)
{
	int r = sys_dup3(fresh, fd, O_CLOEXEC);

	return r < 0 ? r : 0;
}
#else

/* Who is sent SIGIO, and which signal instead. */
static void keep_owner(int from, int to, int fl)
{
	struct {
		int type, pid;
	} owner = {0};
	int sig = sys_fcntl(from, F_GETSIG, 0);

	if (sys_fcntl(from, 16 /* F_GETOWN_EX */, (long)&owner) == 0 && owner.pid)
		(void)sys_fcntl(to, 15 /* F_SETOWN_EX */, (long)&owner);
	if (sig > 0)
		(void)sys_fcntl(to, F_SETSIG, sig);
	if (fl & O_ASYNC) /* of the number; the old one's ends with it */
		(void)sys_fcntl(from, F_SETFL, fl & ~O_ASYNC);
}

/* Does this epoll watch fd? Its list is read only if so: kcmp(2) looks into it at once. */
static int look_at_epoll(int epoll, int fd, uint64_t inode, struct swap_places *p)
{
	struct kcmp_epoll_slot slot = {.efd = (uint32_t)epoll, .tfd = (uint32_t)fd};
	int32_t pid = raw_getpid();
	long r = sys_call(SYS_kcmp, pid, pid, KCMP_EPOLL_TFD, fd, (long)&slot);

	if (r == -ENOENT)
		return 0;
	if (r == -EBADF || r == -EINVAL) { /* it is no epoll any more */
		if (!fdset_is_child())
			atomic_fetch_and_explicit(&swap_epolls[epoll / 64], ~(UINT64_C(1) << (epoll % 64)),
						  memory_order_relaxed);
		return 0;
	}
	return read_epoll(0, epoll, inode, p);
}

static int find_here(int fd, uint64_t inode, struct swap_places *p)
{
	static _Atomic bool before;
	int err = 0;

	if (confined()) { /* no call that the program does not make itself */
		p->n_copies = p->n_watches = 0;
		return 0;
	}
	/* What was there before us is found once; and what the hints do not cover, each time. */
	if (!atomic_exchange(&before, true) || atomic_load(&swap_all) || fd >= SWAP_FDS_MAX)
		return swap_find(0, inode, p);
	p->n_watches = 0;
	p->n_copies = 1;
	p->copies[0] = fd;
	for (int i = 0; i < SWAP_FDS_MAX / 64; i++)
		for (uint64_t w = atomic_load_explicit(&swap_epolls[i], memory_order_relaxed); w; w &= w - 1) {
			int r = look_at_epoll(i * 64 + __builtin_ctzll(w), fd, inode, p);

			err = r == -EMFILE || r == -ENFILE ? r : err;
		}
	return err;
}

static bool is_still(int fd, uint64_t inode)
{
	struct stat st;

	return raw_fstat(fd, &st) == 0 && st.st_ino == inode;
}

int swap_socket(int fd, int fresh)
{
	int fl = sys_fcntl(fd, F_GETFL, 0), fresh_fl = sys_fcntl(fresh, F_GETFL, 0), r = 0;
	struct swap_places p;
	struct stat st;

	if (fl < 0 || fresh_fl < 0 || raw_fstat(fd, &st) < 0)
		return -EBADF;
	r = find_here(fd, st.st_ino, &p);
	if (r < 0)
		return r;
	if (p.n_copies == 0) /* no /proc */
		p.copies[p.n_copies++] = fd;
	if (fl & O_ASYNC || sys_fcntl(fd, F_GETOWN, 0) != 0)
		keep_owner(fd, fresh, fl);
	for (unsigned i = 0; i < p.n_watches; i++)
		(void)sys_call(SYS_epoll_ctl, p.watches[i].epoll, EPOLL_CTL_DEL, p.watches[i].fd, 0, 0);
	for (unsigned i = 0; i < p.n_copies; i++) {
		int flags = sys_fcntl(p.copies[i], F_GETFD, 0);

		if (flags < 0 || !is_still(p.copies[i], st.st_ino))
			continue;
		if (sys_dup3(fresh, p.copies[i], flags & FD_CLOEXEC ? O_CLOEXEC : 0) < 0 && p.copies[i] == fd)
			r = -EBADF;
	}
	for (unsigned i = 0; i < p.n_watches; i++) {
		struct epoll_event e = {.events = p.watches[i].events, .data.u64 = p.watches[i].data};

		(void)sys_call(SYS_epoll_ctl, p.watches[i].epoll, EPOLL_CTL_ADD, p.watches[i].fd, (long)&e, 0);
	}
	if (r == 0 && fl & O_ASYNC)
		(void)sys_fcntl(fd, F_SETFL, fresh_fl | O_ASYNC);
	return r;
}
#endif
