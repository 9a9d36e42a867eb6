/* tests/shim/options.c: every socket option there could be, asked of every kind of socket in every state.
 *
 * An ordinary program that knows nothing of berth. run_options.sh runs it natively, in a network namespace
 * of its own, and under berth, and compares the two outputs (compare_options.py). Nothing here knows which
 * options exist: each number from 0 to 127 of each level is tried, so what the kernel takes is taken from it.
 *
 *     tcp4 fresh SO 9: get 4=0 | lens 0/0 1/1 ... | set 0>0 1>1 -1>1 ... | odd empty=EINVAL ...
 *
 * One line is one option on a socket of its own: the default, what short and long buffers get, and for each
 * value set the errno or what is read back. Values that change from run to run show their length only.
 * Capabilities are given up first, so that root and a user are answered alike.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BUF_OCTETS 300

static const struct {
	const char *name;
	int level;
} levels[] = {{"SO", SOL_SOCKET},
	      {"IP", IPPROTO_IP},
	      {"IPV6", IPPROTO_IPV6},
	      {"TCP", IPPROTO_TCP},
	      {"UDP", IPPROTO_UDP}};

/* Level and number of what a comparison can say nothing about but its length: addresses of memory, clocks,
 * processors, sizes that the kernel tunes. */
static const struct {
	int level, opt;
} unsteady[] = {
	{SOL_SOCKET, 49 /* SO_INCOMING_CPU */},	    {SOL_SOCKET, 55 /* SO_MEMINFO */},
	{SOL_SOCKET, 56 /* SO_INCOMING_NAPI_ID */}, {SOL_SOCKET, 57 /* SO_COOKIE */},
	{SOL_SOCKET, 71 /* SO_NETNS_COOKIE */},	    {IPPROTO_IP, 52 /* IP_PROTOCOL: the port */},
	{IPPROTO_TCP, 11 /* TCP_INFO */},	    {IPPROTO_TCP, 24 /* TCP_TIMESTAMP */},
	{IPPROTO_TCP, 26 /* TCP_CC_INFO */},
};

enum state { FRESH, BOUND, LISTENING, CONNECTED, ACCEPTED, N_STATES };
static const char *const state_name[] = {"fresh", "bound", "listening", "connected", "accepted"};
static const int values[] = {0, 1, 2, -1, 90, 128, 255, 256, 32768, 1000000, INT32_MAX, -2};

static FILE *out;

static const char *err(void)
{
	const char *e = strerrorname_np(errno);

	return e ? e : "E?";
}

static bool is_unsteady(int level, int opt)
{
	for (size_t i = 0; i < sizeof(unsteady) / sizeof(unsteady[0]); i++)
		if (unsteady[i].level == level && unsteady[i].opt == opt)
			return true;
	return false;
}

static socklen_t any_of(struct sockaddr_storage *ss, int family, bool loopback)
{
	memset(ss, 0, sizeof(*ss));
	ss->ss_family = (sa_family_t)family;
	if (family == AF_INET) {
		if (loopback)
			((struct sockaddr_in *)ss)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		return sizeof(struct sockaddr_in);
	}
	if (loopback)
		((struct sockaddr_in6 *)ss)->sin6_addr = in6addr_loopback;
	return sizeof(struct sockaddr_in6);
}

struct made {
	int fd, others[2];
};

static bool make(int family, int type, enum state want, struct made *ret)
{
	struct sockaddr_storage ss;
	socklen_t len = any_of(&ss, family, true);
	int l = socket(family, type, 0), c, s;

	*ret = (struct made){.fd = l, .others = {-1, -1}};
	if (l < 0)
		return false;
	if (want == FRESH)
		return true;
	if (bind(l, (struct sockaddr *)&ss, len) < 0)
		return false;
	if (want == BOUND)
		return true;
	if (type == SOCK_DGRAM && want != CONNECTED)
		return false;
	if (type == SOCK_STREAM && listen(l, 5) < 0)
		return false;
	if (want == LISTENING)
		return true;
	c = socket(family, type, 0);
	if (getsockname(l, (struct sockaddr *)&ss, &len) < 0 || connect(c, (struct sockaddr *)&ss, len) < 0)
		return false;
	if (type == SOCK_DGRAM) {
		*ret = (struct made){.fd = c, .others = {l, -1}};
		return true;
	}
	s = accept(l, NULL, NULL);
	*ret = want == CONNECTED ? (struct made){c, {l, s}} : (struct made){s, {l, c}};
	return s >= 0;
}

static void unmake(struct made *m)
{
	close(m->fd);
	for (int i = 0; i < 2; i++)
		if (m->others[i] >= 0)
			close(m->others[i]);
}

/* The value as a number, or its octets. */
static void show(const unsigned char *v, socklen_t len, bool steady)
{
	int32_t n;

	if (len == sizeof(n)) {
		memcpy(&n, v, sizeof(n));
		fprintf(out, "%d", steady ? n : 0);
	} else if (!steady) {
		fprintf(out, "?");
	} else {
		socklen_t end = len;

		while (end > 1 && v[end - 1] == 0)
			end--;
		fprintf(out, "x");
		for (socklen_t i = 0; i < end; i++)
			fprintf(out, "%02x", v[i]);
	}
}

static void get(int fd, int level, int opt, socklen_t room)
{
	unsigned char v[BUF_OCTETS];
	socklen_t len = room;
	bool steady = !is_unsteady(level, opt);

	memset(v, 0, sizeof(v));
	if (getsockopt(fd, level, opt, v, &len) < 0) {
		fprintf(out, "%s", err());
		if (len != room)
			fprintf(out, "/%u", len);
		return;
	}
	fprintf(out, "%u=", len);
	if (len <= sizeof(v))
		show(v, len, steady);
}

static void sets(int fd, int level, int opt)
{
	fprintf(out, " | set");
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		int v = values[i];

		fprintf(out, " %d>", v);
		if (setsockopt(fd, level, opt, &v, sizeof(v)) < 0)
			fprintf(out, "%s", err());
		else
			get(fd, level, opt, sizeof(v));
	}
}

/* Lengths nobody should use, and octets that are no number. */
static void odd_sets(int fd, int level, int opt)
{
	static const struct {
		const char *name;
		unsigned char octets[40];
		socklen_t len;
		bool null;
	} odd[] = {
		{"empty", {0}, 0, false},
		{"one", {1}, 1, false},
		{"two", {1, 0}, 2, false},
		{"three", {1, 0, 0}, 3, false},
		{"eight", {1, 0, 0, 0, 1}, 8, false},
		{"twelve", {1}, 12, false},
		{"sixteen", {0}, 16, false},
		{"forty", {0}, 40, false},
		{"null", {0}, 4, true},
		{"negative", {1}, (socklen_t)-1, false},
	};

	fprintf(out, " | odd");
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		fprintf(out, " %s>", odd[i].name);
		if (setsockopt(fd, level, opt, odd[i].null ? NULL : odd[i].octets, odd[i].len) < 0)
			fprintf(out, "%s", err());
		else
			get(fd, level, opt, BUF_OCTETS);
	}
}

static void lengths(int fd, int level, int opt)
{
	static const socklen_t rooms[] = {0, 1, 2, 3, 5, 8, 12, 16, 20, (socklen_t)-1};

	fprintf(out, " | lens");
	for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
		fprintf(out, " %d:", (int)rooms[i]);
		get(fd, level, opt, rooms[i]);
	}
}

/* All that one option says, as text. */
static char *answers(int family, int type, enum state state, int level, int opt)
{
	char *text = NULL;
	size_t len = 0;
	struct made m;

	out = open_memstream(&text, &len);
	if (!out)
		exit(1);
	if (make(family, type, state, &m)) {
		fprintf(out, "get ");
		get(m.fd, level, opt, BUF_OCTETS);
		if (state == FRESH)
			lengths(m.fd, level, opt);
		sets(m.fd, level, opt);
		if (state == FRESH)
			odd_sets(m.fd, level, opt);
	}
	unmake(&m);
	fclose(out);
	out = stdout;
	return text;
}

/* What is said of every number that is no option is said once. */
static void one_level(const char *kind, int family, int type, enum state state, size_t l)
{
	char *unknown = answers(family, type, state, levels[l].level, 9999);

	printf("%s %s %s unknown: %s\n", kind, state_name[state], levels[l].name, unknown);
	for (int opt = 0; opt < 128; opt++) {
		char *text = answers(family, type, state, levels[l].level, opt);

		if (strcmp(text, unknown))
			printf("%s %s %s %d: %s\n", kind, state_name[state], levels[l].name, opt, text);
		free(text);
	}
	free(unknown);
}

/* What a child has from its listener: every option that takes some value, set before listen(). */
static void inherited(const char *kind, int family, size_t l, int opt)
{
	static const int tries[] = {1, 2, 90, 128, 0, 1000000};
	struct sockaddr_storage ss;
	struct made m;
	socklen_t len;
	int c, s;

	if (!make(family, SOCK_STREAM, BOUND, &m))
		exit(1);
	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		unsigned char before[4] = {0}, after[4] = {0};
		socklen_t a = 4, b = 4;

		getsockopt(m.fd, levels[l].level, opt, before, &a);
		if (setsockopt(m.fd, levels[l].level, opt, &tries[i], sizeof(tries[i])) < 0)
			continue;
		if (getsockopt(m.fd, levels[l].level, opt, after, &b) == 0 && memcmp(before, after, 4) == 0)
			continue;
		c = socket(family, SOCK_STREAM, 0);
		len = sizeof(ss);
		if (listen(m.fd, 5) < 0 || getsockname(m.fd, (struct sockaddr *)&ss, &len) < 0 ||
		    connect(c, (struct sockaddr *)&ss, len) < 0) {
			printf("%s inherit %s %d: listen or connect %s\n", kind, levels[l].name, opt, err());
			close(c);
			break;
		}
		s = accept(m.fd, NULL, NULL);
		printf("%s inherit %s %d: listener ", kind, levels[l].name, opt);
		get(m.fd, levels[l].level, opt, BUF_OCTETS);
		printf(" child ");
		get(s, levels[l].level, opt, BUF_OCTETS);
		printf(" client ");
		get(c, levels[l].level, opt, BUF_OCTETS);
		printf("\n");
		close(s);
		close(c);
		break;
	}
	unmake(&m);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int family, type;
	} kinds[] = {{"tcp4", AF_INET, SOCK_STREAM},
		     {"tcp6", AF_INET6, SOCK_STREAM},
		     {"udp4", AF_INET, SOCK_DGRAM},
		     {"udp6", AF_INET6, SOCK_DGRAM}};
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};
	const char *only = argc > 1 ? argv[1] : "";

	out = stdout;
	if (syscall(SYS_capset, &head, none) < 0)
		return 1;
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		if (*only && strncmp(kinds[k].name, only, strlen(only)))
			continue;
		for (int s = 0; s < N_STATES; s++) {
			if (kinds[k].type == SOCK_DGRAM && (s == LISTENING || s == ACCEPTED))
				continue;
			for (size_t l = 0; l < sizeof(levels) / sizeof(levels[0]); l++)
				one_level(kinds[k].name, kinds[k].family, kinds[k].type, (enum state)s, l);
		}
		for (size_t l = 0; kinds[k].type == SOCK_STREAM && l < sizeof(levels) / sizeof(levels[0]); l++)
			for (int opt = 0; opt < 128; opt++)
				inherited(kinds[k].name, kinds[k].family, l, opt);
	}
	return 0;
}
