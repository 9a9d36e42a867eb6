/* tests/shim/under_files.c: under.c: when descriptors, files and the room in them come to an end. */
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "under.h"

/* More sockets than the file of values has room for, some living, most dead, set by many threads at once. */
#define VALUE_THREADS 8
#define VALUE_SOCKETS 9000

static void *set_many(void *arg)
{
	long wrong = 0, me = (long)arg;
	int kept = -1, first = (int)(me * 100 + 1), v;
	socklen_t len;

	for (int i = 0; i < VALUE_SOCKETS; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0), want = (int)(me * 1000 + i % 1000 + 1);

		setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, i ? &want : &first, sizeof(want));
		len = sizeof(v);
		wrong += getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &v, &len) < 0 || v != (i ? want : first);
		if (i == 0)
			kept = fd;
		else
			close(fd);
	}
	len = sizeof(v);
	wrong += getsockopt(kept, IPPROTO_TCP, TCP_KEEPIDLE, &v, &len) < 0 || v != first;
	close(kept);
	return (void *)wrong;
}

static void values_of_many(void)
{
	pthread_t th[VALUE_THREADS];
	void *wrong;

	for (long i = 0; i < VALUE_THREADS; i++)
		WANT(pthread_create(&th[i], NULL, set_many, (void *)i) == 0);
	for (int i = 0; i < VALUE_THREADS; i++)
		WANT(pthread_join(th[i], &wrong) == 0 && wrong == NULL);
}

/* The file may be cut short by any program of this user; values are lost, nothing else. */
static void values_cut_short(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), other = socket(AF_INET, SOCK_STREAM, 0), v = 77;
	char path[4200];
	socklen_t len = sizeof(v);

	snprintf(path, sizeof(path), "%s/values", network_dir);
	WANT(setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &v, sizeof(v)) == 0);
	for (int size = 4096; size >= 0; size -= 4096) {
		WANT(truncate(path, size) == 0);
		WANT(getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &v, &len) == 0 && (v == 7200 || v == 88));
		v = 88;
		WANT(setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &v, sizeof(v)) == 0);
		WANT(getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &v, &len) == 0 && v == 88);
		WANT(setsockopt(other, IPPROTO_TCP, TCP_KEEPCNT, &v, sizeof(v)) == 0);
		WANT(getsockopt(other, IPPROTO_TCP, TCP_KEEPCNT, &v, &len) == 0 && v == 88);
	}
	close(fd);
	close(other);
}

/* A server with no descriptor left hears its clients, and cannot answer one that it never answered before. */
static void no_descriptors_for_datagrams(void)
{
	struct sockaddr_in a = at("127.0.0.1", 7405), from;
	struct rlimit few = {24, 24};
	int r = socket(AF_INET, SOCK_DGRAM, 0), p[2], st, e;
	socklen_t len = sizeof(from);
	char buf[16];
	pid_t pid;

	WANT(bind(r, (struct sockaddr *)&a, sizeof(a)) == 0 && pipe(p) == 0);
	pid = fork();
	if (pid == 0) {
		setrlimit(RLIMIT_NOFILE, &few);
		while (dup(0) >= 0)
			continue;
		if (write(p[1], "x", 1) != 1 || recvfrom(r, buf, 16, 0, (struct sockaddr *)&from, &len) != 2)
			_exit(1);
		e = sendto(r, buf, 2, 0, (struct sockaddr *)&from, len) < 0 ? errno : 0;
		_exit(e != 0 && e != ENOBUFS);
	}
	WANT(read(p[0], buf, 1) == 1);
	e = socket(AF_INET, SOCK_DGRAM, 0);
	WANT(sendto(e, "hi", 2, 0, (struct sockaddr *)&a, sizeof(a)) == 2);
	WANT(waitpid(pid, &st, 0) == pid && st == 0);
	close(e);
	close(r);
	close(p[0]);
	close(p[1]);
}

static void corked_sockets_that_are_closed(void)
{
	struct sockaddr_in a = at("127.0.0.1", 7403);
	int r = socket(AF_INET, SOCK_DGRAM, 0);
	char buf[16];

	WANT(bind(r, (struct sockaddr *)&a, sizeof(a)) == 0);
	for (int i = 0; i < 40; i++) {
		int s = socket(AF_INET, SOCK_DGRAM, 0);

		WANT(sendto(s, "lost", 4, MSG_MORE, (struct sockaddr *)&a, sizeof(a)) == 4);
		if (i == 39)
			WANT(sendto(s, "found", 5, 0, (struct sockaddr *)&a, sizeof(a)) == 5);
		close(s);
	}
	WANT(recv(r, buf, sizeof(buf), MSG_DONTWAIT) == 9 && !memcmp(buf, "lostfound", 9));
	WANT(recv(r, buf, sizeof(buf), MSG_DONTWAIT) == -1);
	close(r);
}

/* A child that does it: its wait status. */
static int in_child(int (*what)(void))
{
	pid_t pid = fork();
	int st = -1;

	if (pid == 0) {
		alarm(20);
		_exit(what());
	}
	return waitpid(pid, &st, 0) == pid ? st : -1;
}

static int options_of_a_cut_file(void)
{
	char path[4200];
	int fd = socket(AF_INET, SOCK_STREAM, 0), v = 77;
	socklen_t len = sizeof(v);

	snprintf(path, sizeof(path), "%s/values", network_dir);
	for (int i = 0; i < 3; i++) {
		if (setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &v, sizeof(v)) < 0)
			return 1;
		v = 0;
		if (getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &v, &len) < 0 || v != 77)
			return 2;
		if (truncate(path, i == 0 ? 8192 : 0) < 0)
			return 3;
	}
	return 0;
}

static int end_of_a_stream_with_a_cut_table(void)
{
	char path[4200], buf[4];
	int l = listener("127.0.0.1", 7401, 0), c = dial("127.0.0.1", 7401), s = accept(l, NULL, NULL);

	snprintf(path, sizeof(path), "%s/table", network_dir);
	close(s);
	if (l < 0 || c < 0 || s < 0 || truncate(path, 0) < 0)
		return 1;
	return recv(c, buf, sizeof(buf), 0) == 0 && read(c, buf, sizeof(buf)) == 0 ? 0 : 2;
}

static int datagrams_with_a_file_limit(void)
{
	struct sockaddr_in a = at("127.0.0.1", 7402);
	struct rlimit few = {32768, 32768}, none = {4096, 4096};
	int r = socket(AF_INET, SOCK_DGRAM, 0), s = socket(AF_INET, SOCK_DGRAM, 0);
	static char buf[60000];

	if (bind(r, (struct sockaddr *)&a, sizeof(a)) < 0 || setrlimit(RLIMIT_FSIZE, &few) < 0)
		return 1;
	/* The mailbox may not become longer: what does not fit is dropped. */
	if (sendto(s, buf, sizeof(buf), 0, (struct sockaddr *)&a, sizeof(a)) != sizeof(buf))
		return 2;
	if (sendto(s, buf, 8, 0, (struct sockaddr *)&a, sizeof(a)) != 8 || recv(r, buf, 100, MSG_DONTWAIT) != 8)
		return 3;
	if (setrlimit(RLIMIT_FSIZE, &none) < 0)
		return 4;
	close(r);
	r = socket(AF_INET, SOCK_DGRAM, 0);
	return bind(r, (struct sockaddr *)&a, sizeof(a)) < 0 && errno == ENOBUFS ? 0 : 5;
}

static void files_cut_short_or_limited(void)
{
	int st = in_child(datagrams_with_a_file_limit);

	WANT(WIFEXITED(st) && WEXITSTATUS(st) == 0);
	st = in_child(options_of_a_cut_file);
	WANT(WIFEXITED(st) && WEXITSTATUS(st) == 0);
	st = in_child(end_of_a_stream_with_a_cut_table);
	WANT(WIFEXITED(st) && WEXITSTATUS(st) == 0);
}

static void network_moved_away(void)
{
	struct sockaddr_in a = at("127.0.0.1", 7900);
	char away[512];
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), l;

	snprintf(away, sizeof(away), "%s-away", network_dir);
	WANT(rename(network_dir, away) == 0);
	WANT(listener("127.0.0.1", 7900, 0) < 0 && errno == ENETDOWN);
	WANT(bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 && errno == ENETDOWN);
	WANT(sendto(fd, "x", 1, 0, (struct sockaddr *)&a, sizeof(a)) < 0 && errno == ENETDOWN);
	WANT(dial("127.0.0.1", 7900) < 0 && (errno == ECONNREFUSED || errno == ENETDOWN));
	WANT(rename(away, network_dir) == 0);
	WANT(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	l = listener("127.0.0.1", 7900, 0);
	WANT(l >= 0 && dial("127.0.0.1", 7900) >= 0);
	close(fd);
	close(l);
}

const struct check under_files[] = {
	{"values of many sockets, from many threads", values_of_many},
	{"the file of values is cut short", values_cut_short},
	{"no descriptors left for datagrams", no_descriptors_for_datagrams},
	{"corked datagrams of sockets that are closed", corked_sockets_that_are_closed},
	{"files of the network cut short, or not to be made longer", files_cut_short_or_limited},
	{"the network's folder is moved away and back", network_moved_away},
};
const size_t n_under_files = sizeof(under_files) / sizeof(under_files[0]);
