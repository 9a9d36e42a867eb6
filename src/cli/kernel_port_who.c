/* src/cli/kernel_port_who.c: who has a port of the machine's own kernel, in words.
 *
 * A socket that listens, has a connection or is UDP's is in /proc/net; one that is only bound is in no file, and is asked for
 * by netlink (inet_diag, the state BOUND_INACTIVE of Linux 6.8). Both say its inode and whose it is; the process is
 * found by the inode, if we may look into it. If not, it is another user's, and the user is named.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/kernel_port.h"
#include "network/raw.h"

#define STATE_LISTEN 10
#define STATE_BOUND 13 /* TCP_BOUND_INACTIVE: headers before Linux 6.8 do not have it */
#define ANSWERS_MAX 4096

/* One that could be in the way. inode 0: none was found. */
struct holder {
	unsigned long inode;
	unsigned uid;
	enum { HAS_CONNECTION, BOUND, LISTENS } what;
};

/* "0100007F:1F90" of /proc/net: each four octets as a number of this machine's. */
static bool read_address(const char *s, bool v6, struct port_addr *ret, unsigned *ret_port)
{
	uint8_t b[16];

	for (int w = 0; w < (v6 ? 4 : 1); w++) {
		char word[9] = {0};
		uint32_t v;

		for (int i = 0; i < 8; i++) {
			if (!isxdigit((unsigned char)s[w * 8 + i]))
				return false;
			word[i] = s[w * 8 + i];
		}
		v = (uint32_t)strtoul(word, NULL, 16);
		memcpy(b + w * 4, &v, 4);
	}
	*ret = v6 ? port_addr_from6(b, 0) : port_addr_from4(b);
	return sscanf(s + (v6 ? 32 : 8), ":%x", ret_port) == 1;
}

static bool meets(const struct port_addr *a, const struct port_addr *b)
{
	return port_addr_equal(a, b) || port_addr_is_any(a) || port_addr_is_any(b);
}

/* One that listens before others. */
static struct holder find_socket(const struct port_addr *addr, uint16_t port, enum port_proto proto)
{
	static const char *const files[2][2] = {{"/proc/net/tcp", "/proc/net/tcp6"},
						{"/proc/net/udp", "/proc/net/udp6"}};
	struct holder found = {0};

	for (int v6 = 0; v6 < 2 && found.what != LISTENS; v6++) {
		FILE *f = fopen(files[proto == PORT_UDP][v6], "re");
		char line[512], local[64];

		while (f && found.what != LISTENS && fgets(line, sizeof(line), f)) {
			struct port_addr a;
			unsigned state, at, uid;
			unsigned long inode;

			if (sscanf(line, " %*s %63s %*s %x %*s %*s %*s %u %*s %lu", local, &state, &uid, &inode) != 4 ||
			    !read_address(local, v6, &a, &at) || at != port || !inode || !meets(&a, addr))
				continue;
			found = (struct holder){inode, uid,
						state == STATE_LISTEN || proto == PORT_UDP ? LISTENS : HAS_CONNECTION};
		}
		if (f)
			fclose(f);
	}
	return found;
}

/* The one of a dump's answers. False: the dump is over. */
static bool read_answers(const uint8_t *octets, size_t len, const struct port_addr *addr, uint16_t port,
			 struct holder *ret)
{
	for (size_t at = 0; at + sizeof(struct nlmsghdr) <= len;) {
		struct nlmsghdr h;
		struct inet_diag_msg m;
		struct port_addr a;

		memcpy(&h, octets + at, sizeof(h));
		if (h.nlmsg_type != SOCK_DIAG_BY_FAMILY || h.nlmsg_len < NLMSG_LENGTH(sizeof(m)) ||
		    h.nlmsg_len > len - at)
			return false;
		memcpy(&m, octets + at + NLMSG_HDRLEN, sizeof(m));
		a = m.idiag_family == AF_INET ? port_addr_from4((const uint8_t *)m.id.idiag_src)
					      : port_addr_from6((const uint8_t *)m.id.idiag_src, 0);
		if (ntohs(m.id.idiag_sport) == port && meets(&a, addr))
			*ret = (struct holder){m.idiag_inode, m.idiag_uid, BOUND};
		at += NLMSG_ALIGN(h.nlmsg_len);
	}
	return true;
}

/* A TCP socket that is bound and nothing else. */
static struct holder find_bound(const struct port_addr *addr, uint16_t port)
{
	struct {
		struct nlmsghdr h;
		struct inet_diag_req_v2 r;
	} q = {.h = {.nlmsg_len = sizeof(q),
		     .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		     .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP}};
	struct holder found = {0};

	for (int v6 = 0; v6 < 2; v6++) {
		int fd = (int)raw_pass(SYS_socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG, 0, 0);
		uint8_t octets[16384];
		long n = 0;

		q.r = (struct inet_diag_req_v2){.sdiag_family = v6 ? AF_INET6 : AF_INET,
						.sdiag_protocol = IPPROTO_TCP,
						.idiag_states = 1u << STATE_BOUND};
		if (fd >= 0 && write(fd, &q, sizeof(q)) == (long)sizeof(q))
			for (int i = 0; i < ANSWERS_MAX && (n = read(fd, octets, sizeof(octets))) > 0; i++)
				if (!read_answers(octets, (size_t)n, addr, port, &found))
					break;
		if (fd >= 0)
			raw_close(fd);
	}
	return found;
}

/* A process that has the socket; 0: none that we may look into. */
static int find_process(unsigned long inode, char comm[32])
{
	char want[48], path[300], link[64];
	DIR *proc = opendir("/proc"), *fds;
	struct dirent *p, *d;
	int found = 0;

	snprintf(want, sizeof(want), "socket:[%lu]", inode);
	while (proc && !found && (p = readdir(proc)) != NULL) {
		if (!isdigit((unsigned char)p->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%.20s/fd", p->d_name);
		fds = opendir(path);
		while (fds && !found && (d = readdir(fds)) != NULL) {
			ssize_t n;

			snprintf(path, sizeof(path), "/proc/%.20s/fd/%.20s", p->d_name, d->d_name);
			n = readlink(path, link, sizeof(link) - 1);
			link[n > 0 ? n : 0] = '\0';
			if (strcmp(link, want) == 0)
				found = atoi(p->d_name);
		}
		if (fds)
			closedir(fds);
	}
	if (proc)
		closedir(proc);
	if (found) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/comm", found);
		f = fopen(path, "re");
		if (!f || !fgets(comm, 32, f))
			snprintf(comm, 32, "a program");
		comm[strcspn(comm, "\n")] = '\0';
		if (f)
			fclose(f);
	}
	return found;
}

char *kernel_port_who(const struct port_addr *addr, uint16_t port, enum port_proto proto, char s[KERNEL_PORT_WHO_MAX])
{
	static const char *const does[] = {"has a connection on it", "has it and does not listen", "listens there"};
	struct holder h = find_socket(addr, port, proto), bound = {0};
	const char *what;
	struct passwd *pw;
	char comm[32], user[40];
	int pid;

	if (proto == PORT_TCP && h.what != LISTENS)
		bound = find_bound(addr, port);
	if (bound.inode)
		h = bound;
	what = proto == PORT_UDP ? "has it" : does[h.what];
	pid = h.inode ? find_process(h.inode, comm) : 0;
	if (pid) {
		snprintf(s, KERNEL_PORT_WHO_MAX, "%s (pid %d) %s", comm, pid, what);
	} else if (h.inode) {
		pw = getpwuid(h.uid);
		if (pw)
			snprintf(user, sizeof(user), "%.30s", pw->pw_name);
		else
			snprintf(user, sizeof(user), "%u", h.uid);
		snprintf(
			s, KERNEL_PORT_WHO_MAX,
			"a process of user %s that cannot be seen from here %s; sudo ss -Hanp%c 'sport = :%u' names it",
			user, what, proto == PORT_UDP ? 'u' : 't', port);
	} else {
		snprintf(s, KERNEL_PORT_WHO_MAX, "a program has it that does not listen yet, or has just gone");
	}
	return s;
}
