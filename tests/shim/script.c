/* tests/shim/script.c: see script.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "script.h"

static const char *section_name = "", *prefix = "-1 ";
static bool as_numbers;
int line_in_section;

void script_style(const char *before_errno, bool numbers)
{
	prefix = before_errno;
	as_numbers = numbers;
}

void section(const char *name)
{
	section_name = name;
	line_in_section = 0;
}

void say_text(const char *what, const char *v)
{
	printf("%s %02d %s: %s\n", section_name, ++line_in_section, what, v);
	fflush(stdout);
}

void say_num(const char *what, long v)
{
	char text[24];

	snprintf(text, sizeof(text), "%ld", v);
	say_text(what, text);
}

static long answer(const char *what, long r, bool number)
{
	const char *name = strerrorname_np(errno);
	char text[64];
	int e = errno;

	if (r >= 0 && number)
		say_num(what, r);
	else if (r >= 0)
		say_text(what, "ok");
	else {
		snprintf(text, sizeof(text), "%s%s", prefix, name ? name : "E?");
		say_text(what, text);
	}
	errno = e;
	return r;
}

long say(const char *what, long r)
{
	return answer(what, r, as_numbers);
}

long say_count(const char *what, long r)
{
	return answer(what, r, true);
}

/* Ports of 32768 and above were chosen by the machine. */
void say_addr(const char *what, long r, const union addr *a, socklen_t len)
{
	char text[INET6_ADDRSTRLEN] = "?", port[16], result[24] = "", line[128];
	int p = 0;

	if (r < 0) {
		say(what, r);
		return;
	}
	if (a->sa.sa_family == AF_INET) {
		inet_ntop(AF_INET, &a->in.sin_addr, text, sizeof(text));
		p = ntohs(a->in.sin_port);
	} else if (a->sa.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &a->in6.sin6_addr, text, sizeof(text));
		p = ntohs(a->in6.sin6_port);
	}
	snprintf(port, sizeof(port), p >= 32768 ? "P" : "%d", p);
	if (as_numbers)
		snprintf(result, sizeof(result), "%ld ", r);
	snprintf(line, sizeof(line), "%sfamily %d len %u %s %s", result, a->sa.sa_family, (unsigned)len, text, port);
	say_text(what, line);
}

void names(const char *who, int fd)
{
	union addr a = {0};
	socklen_t len = sizeof(a);
	char what[100];
	int r = getsockname(fd, &a.sa, &len);

	snprintf(what, sizeof(what), "%s getsockname", who);
	say_addr(what, r, &a, len);
	memset(&a, 0, sizeof(a));
	len = sizeof(a);
	r = getpeername(fd, &a.sa, &len);
	snprintf(what, sizeof(what), "%s getpeername", who);
	say_addr(what, r, &a, len);
}

void say_option(const char *what, int fd, int level, int name)
{
	int v = -12345;
	socklen_t len = sizeof(v);

	if (getsockopt(fd, level, name, &v, &len) < 0)
		say(what, -1);
	else
		say_num(what, v);
}

int do_bind(int fd, const char *text, int port)
{
	union addr a;
	socklen_t len = addr(&a, text, port);

	return bind(fd, &a.sa, len);
}

int do_connect(int fd, const char *text, int port)
{
	union addr a;
	socklen_t len = addr(&a, text, port);

	return connect(fd, &a.sa, len);
}

int port_of(int fd)
{
	union addr a = {0};
	socklen_t len = sizeof(a);

	if (getsockname(fd, &a.sa, &len) < 0)
		return -1;
	return ntohs(a.sa.sa_family == AF_INET6 ? a.in6.sin6_port : a.in.sin_port);
}

int set(int fd, int level, int name, int v)
{
	return setsockopt(fd, level, name, &v, sizeof(v));
}

void nonblock(int fd)
{
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}
