/* tests/shim/ends.c: how a stream ends, as the side that goes on using it sees it; and how it fills.
 *
 * An ordinary program that knows nothing of berth, run natively and under berth, and compared line by
 * line (run_calls.sh, ends-differences.txt). For each way in which a stream can end or never have begun,
 * and for each call that writes: three writes, the signals they brought, what is read then, the peer's
 * name. Between them we wait a little, as a reset takes its time on TCP.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../address.h"

#define PAUSE_US 2000

static int line;
static volatile sig_atomic_t n_pipe, pipe_code;

static void on_pipe(int sig, siginfo_t *info, void *ctx)
{
	(void)sig;
	(void)ctx;
	n_pipe++;
	pipe_code = info->si_code == SI_USER && info->si_pid == getpid();
}

/* "section NN what: answer" is what compare.py reads. */
static void say(const char *section, const char *how, const char *what, ssize_t r, int e)
{
	printf("%s %02d %s, %s: ", section, ++line, how, what);
	if (r < 0)
		printf("-1 %s", strerrorname_np(e) ? strerrorname_np(e) : "?");
	else
		printf("%zd", r);
	if (n_pipe)
		printf(", %d SIGPIPE%s", (int)n_pipe, pipe_code ? "" : " of another kind");
	printf("\n");
	fflush(stdout);
	n_pipe = 0;
}

static int listener(int *ret_port)
{
	struct sockaddr_in in = at("127.0.0.1", 0);
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(fd, (struct sockaddr *)&in, sizeof(in)) < 0 || listen(fd, 5) < 0 ||
	    getsockname(fd, (struct sockaddr *)&in, &len) < 0)
		abort();
	*ret_port = ntohs(in.sin_port);
	return fd;
}

static void pair(int *ret_us, int *ret_peer)
{
	int port, l = listener(&port);
	struct sockaddr_in in = at("127.0.0.1", port);

	*ret_us = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(*ret_us, (struct sockaddr *)&in, sizeof(in)) < 0)
		abort();
	*ret_peer = accept(l, NULL, NULL);
	if (*ret_peer < 0)
		abort();
	close(l);
}

/* --- the ways a stream ends. Each gives our socket back, and in *ret_other what keeps it so --- */

static int closed(int *ret_other)
{
	int us, peer;

	pair(&us, &peer);
	close(peer);
	*ret_other = -1;
	return us;
}

static int closed_accepted(int *ret_other)
{
	int us, peer;

	pair(&us, &peer);
	close(us);
	*ret_other = -1;
	return peer;
}

static int closed_with_data(int *ret_other)
{
	int us, peer;

	pair(&us, &peer);
	if (send(peer, "bye", 3, 0) != 3)
		abort();
	close(peer);
	*ret_other = -1;
	return us;
}

static int closed_unread(int *ret_other)
{
	int us, peer;

	pair(&us, &peer);
	if (send(us, "never read", 10, 0) != 10)
		abort();
	usleep(PAUSE_US);
	close(peer);
	*ret_other = -1;
	return us;
}

static int unread_then_read(int *ret_other)
{
	int us = closed_unread(ret_other);
	char c;

	if (recv(us, &c, 1, 0) >= 0 || errno != ECONNRESET)
		abort();
	return us;
}

static void linger0(int fd, int on)
{
	struct linger l = {.l_onoff = on};

	if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)) < 0)
		abort();
}

static int reset(int *ret_other)
{
	int us, peer;

	pair(&us, &peer);
	linger0(peer, 1);
	close(peer);
	*ret_other = -1;
	return us;
}

static int reset_by_client(int *ret_other)
{
	int us, peer;

	pair(&us, &peer);
	linger0(us, 1);
	close(us);
	*ret_other = -1;
	return peer;
}

static int reset_with_data(int *ret_other)
{
	int us, peer;

	pair(&us, &peer);
	if (send(peer, "bye", 3, 0) != 3)
		abort();
	linger0(peer, 1);
	close(peer);
	*ret_other = -1;
	return us;
}

static int reset_not_meant(int *ret_other)
{
	int us, peer;

	pair(&us, &peer);
	linger0(peer, 1);
	linger0(peer, 0);
	close(peer);
	*ret_other = -1;
	return us;
}

static int reset_to_come(int *ret_other)
{
	int us;

	pair(&us, ret_other);
	linger0(*ret_other, 1);
	return us;
}

static int reset_after_shutdown(int *ret_other)
{
	int us, peer;

	pair(&us, &peer);
	linger0(peer, 1);
	shutdown(peer, SHUT_WR);
	usleep(PAUSE_US);
	close(peer);
	*ret_other = -1;
	return us;
}

/* Both options are set before there is a connection. */
static int reset_by_inheritance(int *ret_other, bool by_client)
{
	int port, l = listener(&port), us = socket(AF_INET, SOCK_STREAM, 0), peer;
	struct sockaddr_in in = at("127.0.0.1", port);

	linger0(by_client ? us : l, 1);
	if (connect(us, (struct sockaddr *)&in, sizeof(in)) < 0)
		abort();
	peer = accept(l, NULL, NULL);
	close(l);
	close(by_client ? us : peer);
	*ret_other = -1;
	return by_client ? peer : us;
}

static int reset_from_listener(int *ret_other)
{
	return reset_by_inheritance(ret_other, false);
}

static int reset_from_before(int *ret_other)
{
	return reset_by_inheritance(ret_other, true);
}

static int peer_shut_both(int *ret_other)
{
	int us;

	pair(&us, ret_other);
	shutdown(*ret_other, SHUT_RDWR);
	return us;
}

static int we_shut_both(int *ret_other)
{
	int us;

	pair(&us, ret_other);
	shutdown(us, SHUT_RDWR);
	return us;
}

static int we_shut_writing(int *ret_other)
{
	int us;

	pair(&us, ret_other);
	shutdown(us, SHUT_WR);
	return us;
}

static int we_shut_writing_then_closed(int *ret_other)
{
	int us = we_shut_writing(ret_other);

	close(*ret_other);
	*ret_other = -1;
	return us;
}

static int closed_then_we_shut(int *ret_other)
{
	int us = closed(ret_other);

	usleep(PAUSE_US);
	shutdown(us, SHUT_WR);
	return us;
}

static int fresh(int *ret_other)
{
	*ret_other = -1;
	return socket(AF_INET, SOCK_STREAM, 0);
}

static int listening(int *ret_other)
{
	int port;

	*ret_other = -1;
	return listener(&port);
}

static int refused(int *ret_other)
{
	int port, l = listener(&port), us = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct sockaddr_in in = at("127.0.0.1", port);

	close(l);
	if (connect(us, (struct sockaddr *)&in, sizeof(in)) >= 0)
		abort();
	*ret_other = -1;
	return us;
}

static const struct {
	const char *name;
	int (*make)(int *ret_other);
} ends[] = {
	{"closed", closed},
	{"closed by the client", closed_accepted},
	{"closed with data on its way", closed_with_data},
	{"closed with unread data", closed_unread},
	{"closed with unread data and read", unread_then_read},
	{"reset", reset},
	{"reset by the client", reset_by_client},
	{"reset with data on its way", reset_with_data},
	{"reset taken back", reset_not_meant},
	{"reset to come", reset_to_come},
	{"shut writing and reset", reset_after_shutdown},
	{"reset from the listener", reset_from_listener},
	{"reset from before connect", reset_from_before},
	{"peer shut both ways", peer_shut_both},
	{"we shut both ways", we_shut_both},
	{"we shut writing", we_shut_writing},
	{"we shut writing, peer closed", we_shut_writing_then_closed},
	{"closed, then we shut writing", closed_then_we_shut},
	{"never connected", fresh},
	{"listening", listening},
	{"refused", refused},
};

/* --- the calls that write, and some that ask --- */

static ssize_t by_send(int fd)
{
	return send(fd, "hello", 5, 0);
}

static ssize_t by_quiet_send(int fd)
{
	return send(fd, "hello", 5, MSG_NOSIGNAL);
}

static ssize_t by_empty_send(int fd)
{
	return send(fd, "", 0, 0);
}

static ssize_t by_sendto(int fd)
{
	return sendto(fd, "hello", 5, 0, NULL, 0);
}

static ssize_t by_sendto_addr(int fd)
{
	struct sockaddr_in in = at("127.0.0.1", 9);

	return sendto(fd, "hello", 5, 0, (struct sockaddr *)&in, sizeof(in));
}

static ssize_t by_sendmsg(int fd)
{
	struct iovec iov[2] = {{(char *)(size_t) "he", 2}, {(char *)(size_t) "llo", 3}};
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};

	return sendmsg(fd, &m, 0);
}

static ssize_t by_write(int fd)
{
	return write(fd, "hello", 5);
}

static ssize_t by_writev(int fd)
{
	struct iovec iov[2] = {{(char *)(size_t) "he", 2}, {(char *)(size_t) "llo", 3}};

	return writev(fd, iov, 2);
}

static ssize_t by_sendmmsg(int fd)
{
	struct iovec iov = {(char *)(size_t) "hello", 5};
	struct mmsghdr v[2] = {{.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}},
			       {.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}}};

	return sendmmsg(fd, v, 2, 0);
}

static ssize_t by_read(int fd)
{
	char buf[64];

	fcntl(fd, F_SETFL, O_NONBLOCK);
	return read(fd, buf, sizeof(buf));
}

static ssize_t by_readv(int fd)
{
	char buf[2][32];
	struct iovec iov[2] = {{buf[0], 2}, {buf[1], 32}};

	fcntl(fd, F_SETFL, O_NONBLOCK);
	return readv(fd, iov, 2);
}

static ssize_t by_recv(int fd)
{
	char buf[64];

	return recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
}

static ssize_t by_recvmsg(int fd)
{
	char buf[64];
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	return recvmsg(fd, &m, MSG_DONTWAIT);
}

static ssize_t by_so_error(int fd)
{
	int err = -1;
	socklen_t len = sizeof(err);

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0 ? -1 : err;
}

static const struct {
	const char *name;
	ssize_t (*write)(int fd);
} ways[] = {
	{"send", by_send},
	{"send quietly", by_quiet_send},
	{"send nothing", by_empty_send},
	{"sendto", by_sendto},
	{"sendto an address", by_sendto_addr},
	{"sendmsg", by_sendmsg},
	{"sendmmsg", by_sendmmsg},
	{"read", by_read},
	{"readv", by_readv},
	{"recv", by_recv},
	{"recvmsg", by_recvmsg},
	{"SO_ERROR", by_so_error},
	{"write", by_write},
	{"writev", by_writev},
};

static void read_out(const char *how, int fd, const char *what)
{
	char buf[64];
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

	say("ends", how, what, n, errno);
}

static void peer_name(const char *how, int fd)
{
	struct sockaddr_in in;
	socklen_t len = sizeof(in);
	int r = getpeername(fd, (struct sockaddr *)&in, &len);

	say("ends", how, "getpeername", r, errno);
}

static void one(size_t end, size_t way)
{
	char how[128];
	int other, fd = ends[end].make(&other);

	snprintf(how, sizeof(how), "%s by %s", ends[end].name, ways[way].name);
	usleep(PAUSE_US);
	n_pipe = 0;
	for (int i = 0; i < 3; i++) {
		char what[16];
		ssize_t n;
		int e;

		snprintf(what, sizeof(what), "time %d", i + 1);
		n = ways[way].write(fd);
		e = errno;
		say("ends", how, what, n, e);
		usleep(PAUSE_US);
	}
	read_out(how, fd, "read");
	read_out(how, fd, "read again");
	close(fd);
	if (other >= 0)
		close(other);
}

/* What the peer is called without anything having been written. */
static void names(size_t end)
{
	int other, fd = ends[end].make(&other), r;

	usleep(PAUSE_US);
	peer_name(ends[end].name, fd);
	r = shutdown(fd, SHUT_WR);
	say("ends", ends[end].name, "shutdown", r, errno);
	close(fd);
	if (other >= 0)
		close(other);
}

/* --- how much may be unread: what the program asked for has an effect, in round numbers --- */

static void fill(const char *what, int size)
{
	static char block[16384];
	int us, peer;
	size_t sum = 0;
	ssize_t n;

	pair(&us, &peer);
	if (size) {
		setsockopt(us, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
		setsockopt(peer, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	}
	for (int i = 0; i < 50; i++) { /* TCP opens its window in steps */
		while ((n = send(us, block, sizeof(block), MSG_DONTWAIT)) > 0)
			sum += (size_t)n;
		usleep(1000);
	}
	say("fill", what, "takes at least 4 KiB", sum >= 4096, 0);
	say("fill", what, "takes at most 224 KiB", sum <= 224 << 10, 0);
	n = recv(peer, block, sizeof(block), 0);
	say("fill", what, "there is something to read", n > 0, errno);
	close(us);
	close(peer);
}

/* A buffer set before connect() and on the listener counts as well. */
static void fill_inherited(void)
{
	static char block[16384];
	int port, size = 4096, l = listener(&port), us = socket(AF_INET, SOCK_STREAM, 0), peer;
	struct sockaddr_in in = at("127.0.0.1", port);
	size_t sum = 0;
	ssize_t n;

	setsockopt(l, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	setsockopt(us, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (connect(us, (struct sockaddr *)&in, sizeof(in)) < 0)
		abort();
	peer = accept(l, NULL, NULL);
	for (int i = 0; i < 50; i++) {
		while ((n = send(peer, block, sizeof(block), MSG_DONTWAIT)) > 0)
			sum += (size_t)n;
		usleep(1000);
	}
	say("fill", "from the listener", "takes at most 224 KiB", sum <= 224 << 10, 0);
	close(l);
	close(us);
	close(peer);
}

/* A write larger than any buffer, to a peer that has closed: not all of it is taken. */
static void large(bool nonblocking)
{
	static char block[16 << 20];
	int us, peer;
	ssize_t n;

	pair(&us, &peer);
	close(peer);
	usleep(PAUSE_US);
	if (nonblocking)
		fcntl(us, F_SETFL, O_NONBLOCK);
	n_pipe = 0;
	n = send(us, block, sizeof(block), 0);
	say("large", nonblocking ? "to a closed peer, not waiting" : "to a closed peer", "some of it is taken",
	    n > 0 && n < (ssize_t)sizeof(block), errno);
	usleep(PAUSE_US);
	n = send(us, block, sizeof(block), 0);
	say("large", "to a closed peer", "the rest", n, errno);
	close(us);
}

/* --- the same socket made a listener by two processes at the same moment --- */

static void listen_together(void)
{
	int good = 0, reached = 0;

	for (int i = 0; i < 200; i++) {
		struct sockaddr_in in = at("127.0.0.1", 0);
		socklen_t len = sizeof(in);
		int go[2], fd = socket(AF_INET, SOCK_STREAM, 0), c, status = -1;
		pid_t child;
		char b;

		if (bind(fd, (struct sockaddr *)&in, sizeof(in)) < 0 || pipe(go) < 0)
			abort();
		getsockname(fd, (struct sockaddr *)&in, &len);
		child = fork();
		if (child == 0) {
			_exit(read(go[0], &b, 1) == 1 && listen(fd, 5) == 0 ? 0 : 1);
		}
		if (write(go[1], "g", 1) != 1)
			abort();
		for (volatile int spin = 0; spin < i * 500; spin++)
			;
		if (listen(fd, 5) == 0 && waitpid(child, &status, 0) == child && status == 0)
			good++;
		c = socket(AF_INET, SOCK_STREAM, 0);
		if (connect(c, (struct sockaddr *)&in, sizeof(in)) == 0)
			reached++;
		close(c);
		close(fd);
		close(go[0]);
		close(go[1]);
	}
	say("listen", "two at once", "both are told yes", good, 0);
	say("listen", "two at once", "a client arrives", reached, 0);
}

int main(void)
{
	struct sigaction sa = {.sa_sigaction = on_pipe, .sa_flags = SA_SIGINFO};

	sigaction(SIGPIPE, &sa, NULL);
	for (size_t e = 0; e < sizeof(ends) / sizeof(ends[0]); e++) {
		names(e);
		for (size_t w = 0; w < sizeof(ways) / sizeof(ways[0]); w++)
			one(e, w);
	}
	fill("4 KiB buffers", 4096);
	fill("16 KiB buffers", 16384);
	fill_inherited();
	listen_together();
	large(false);
	large(true);
	return 0;
}
