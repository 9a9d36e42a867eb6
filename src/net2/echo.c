/* src/net2/echo.c: a TCP socket that is connected to itself: the one who gives it back what it sends.
 *
 * On TCP a bound socket that connects to its own address and port opens both sides at once: what it writes it
 * reads. An AF_UNIX stream is never its own peer; so its peer is a socket of the supervisor's:
 *
 *     program's socket ==connected, in place== ours --> held --> ours
 *
 * "In place": the program's own descriptor is connected, by the copy that pidfd_getfd gave, to a listener that
 * exists for this moment, under a path and not an abstract name (which would be unknown in another network
 * namespace). Whoever else finds that path is not let in: the peer has to bear the name of the flow. The claim is the
 * program's socket's, as for any flow, and ends with it.
 *
 * What was read is given back at once, or held until there is room. Held are at most HELD_MAX octets of one
 * socket, what TCP's two buffers would hold, and HELD_ALL_MAX of all; then nothing more is read, the program's own
 * send buffer fills, and it waits or gets EAGAIN as on TCP. Each turn is bounded, so that one busy socket does not
 * keep the supervisor from the others.
 *
 *     it shuts writing     the end comes after the last octet: what is held is given back, then the end
 *     it closes or dies    nobody is left to give anything to: EPIPE, a hang-up or a reset; all is dropped
 *     we die               the program reads the end, as of a peer that died
 *
 * Always true: who is watched for neither reading nor room is not there. An echo that has ended and holds nothing
 * is over; one that has not ended is read, or is full and waits for room.
 */
#include "net2/echo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "network/mailbox.h"
#include "network/reach.h"
#include "network/text.h"

#define CHUNK_BYTES 65536
#define HELD_MAX (size_t)(4 << 20)
#define HELD_ALL_MAX (size_t)(64 << 20)
#define AT_ONCE 32
#define BACKLOG 8

struct echo {
	struct echo *next;
	uint64_t cookie; /* of the program's socket */
	int fd;
	uint8_t *held; /* n octets from head on */
	size_t head, n, size_bytes;
	bool ended;		     /* the program writes no more */
	bool wants_data, wants_room; /* as watched */
};

static struct echo *echoes;
static size_t n_echoes, held_all_bytes;
static uint8_t chunk[CHUNK_BYTES];

static struct echo *find(uint64_t cookie)
{
	for (struct echo *e = echoes; e; e = e->next)
		if (e->cookie == cookie)
			return e;
	return NULL;
}

/* --- what is held --- */

static void drop_held(struct echo *e)
{
	held_all_bytes -= e->size_bytes;
	free(e->held);
	e->held = NULL;
	e->head = e->n = e->size_bytes = 0;
}

static size_t room_of(const struct echo *e)
{
	size_t most = held_all_bytes < HELD_ALL_MAX ? HELD_MAX : CHUNK_BYTES;

	return e->n < most ? most - e->n : 0;
}

/* False: no memory. */
static bool hold(struct echo *e, const uint8_t *octets, size_t len_bytes)
{
	if (e->head + e->n + len_bytes > e->size_bytes && e->head) {
		memmove(e->held, e->held + e->head, e->n);
		e->head = 0;
	}
	if (e->n + len_bytes > e->size_bytes) {
		size_t size_bytes = e->n + len_bytes > 2 * e->size_bytes ? e->n + len_bytes : 2 * e->size_bytes;
		uint8_t *bigger = realloc(e->held, size_bytes);

		if (!bigger)
			return false;
		held_all_bytes += size_bytes - e->size_bytes;
		e->held = bigger;
		e->size_bytes = size_bytes;
	}
	memcpy(e->held + e->head + e->n, octets, len_bytes);
	e->n += len_bytes;
	return true;
}

/* --- back and forth --- */

/* How many octets it took; -1, it is gone. */
static ssize_t send_back(const struct echo *e, const uint8_t *octets, size_t len_bytes)
{
	ssize_t n = send(e->fd, octets, len_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOBUFS || errno == ENOMEM))
		return 0;
	return n;
}

static bool give_held(struct echo *e)
{
	ssize_t n;

	if (!e->n)
		return true;
	n = send_back(e, e->held + e->head, e->n);
	if (n < 0)
		return false;
	e->head += (size_t)n;
	e->n -= (size_t)n;
	if (!e->n)
		drop_held(e);
	return true;
}

/* How many octets came; 0, none now, or the end; -1, it is gone. */
static ssize_t take(struct echo *e)
{
	size_t room = room_of(e);
	ssize_t n, back = 0;

	if (e->ended || !room)
		return 0;
	n = recv(e->fd, chunk, room < sizeof(chunk) ? room : sizeof(chunk), MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	if (n == 0) {
		e->ended = true;
		return 0;
	}
	if (!e->n)
		back = send_back(e, chunk, (size_t)n);
	if (back < 0 || (back < n && !hold(e, chunk + back, (size_t)(n - back))))
		return -1;
	return n;
}

static void watch(struct echo *e)
{
	bool data = !e->ended && room_of(e), room = e->n != 0;

	if (data == e->wants_data && room == e->wants_room)
		return;
	e->wants_data = data;
	e->wants_room = room;
	echo_watch(e->fd, ECHO_KEYS << 62 | e->cookie, data, room);
}

/* False: it is over. */
static bool pump(struct echo *e)
{
	for (int i = 0; i < AT_ONCE; i++) {
		ssize_t n;

		if (!give_held(e))
			return false;
		n = take(e);
		if (n < 0)
			return false;
		if (n == 0)
			break;
	}
	if (e->ended && !e->n)
		return false;
	watch(e);
	return true;
}

/* Closing ends both directions; what we have sent before can still be read. */
static void unmake(struct echo *e)
{
	struct echo **at = &echoes;

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	n_echoes--;
	drop_held(e);
	close(e->fd);
	free(e);
}

void echo_event(uint64_t key)
{
	struct echo *e = find(key & ~(ECHO_KEYS << 62));

	if (e && !pump(e))
		unmake(e);
}

/* --- meeting --- */

/* Who came is the socket of that name; strangers are sent away. Return: a descriptor; -ECONNREFUSED, nobody came. */
static int accept_named(int listener, const struct sockaddr_un *name, socklen_t name_len)
{
	for (;;) {
		struct sockaddr_un from;
		socklen_t len = sizeof(from);
		int fd = accept4(listener, (struct sockaddr *)&from, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0 && errno != EINTR)
			return errno == EAGAIN ? -ECONNREFUSED : -errno;
		if (fd >= 0 && len == name_len && memcmp(&from, name, len) == 0)
			return fd;
		if (fd >= 0)
			close(fd);
	}
}

/* A name as a mailbox's doorbell has it: one that is left behind is tidied as those are. */
static void meeting_leaf(const struct network *n, int listener, char ret[REACH_LEAF_MAX])
{
	char leaf[32];
	struct text t = text_on(leaf, sizeof(leaf));

	text_str(&t, "u");
	text_hex(&t, mailbox_key(n, sock_cookie(listener)), 16);
	reach_in_s(leaf, ret);
}

int echo_meet(const struct network *n, int fd)
{
	struct sockaddr_un name;
	socklen_t len = sizeof(name);
	char leaf[REACH_LEAF_MAX];
	int listener, r;

	if (getsockname(fd, (struct sockaddr *)&name, &len) < 0)
		return -errno;
	if (name.sun_family != AF_UNIX || len <= offsetof(struct sockaddr_un, sun_path))
		return -EINVAL;
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener < 0)
		return -errno;
	meeting_leaf(n, listener, leaf);
	r = reach_bind(n, listener, leaf);
	if (r == 0) {
		r = listen(listener, BACKLOG) < 0 ? -errno : reach_connect(n, fd, leaf);
		(void)reach_unlink(n, leaf);
	}
	if (r == 0)
		r = accept_named(listener, &name, len);
	close(listener);
	return r;
}

int echo_connect(const struct network *n, int fd)
{
	uint64_t cookie = sock_cookie(fd);
	struct echo *e;

	if (find(cookie)) /* asked again, because a signal came before our answer */
		return 0;
	if (n_echoes == ECHOES_MAX)
		return -ENOBUFS;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->fd = echo_meet(n, fd);
	if (e->fd < 0) {
		int r = e->fd;

		free(e);
		return r;
	}
	e->cookie = cookie;
	e->next = echoes;
	echoes = e;
	n_echoes++;
	watch(e);
	return 0;
}

/* --- what the shim's files ask, of a program that is served (shim/env.c in a program) --- */

bool shim_has_echo(void)
{
	return true;
}

int shim_echo(struct shim *s, int fd)
{
	return echo_connect(&s->net, fd);
}
