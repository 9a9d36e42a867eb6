/* src/host/settings.c: /proc/sys/net and /proc/net/sockstat.
 *
 * Each setting is a file with a number. Their names are a table here, so that one more is one line more.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/settings.h"

#define RESERVED_BYTES (512 * 1024) /* every second port, written out */

static const struct number {
	const char *file; /* below /proc/sys */
	size_t at;
} numbers[] = {
	{"net/ipv4/ip_autobind_reuse", offsetof(struct host_settings, autobind_reuse)},
	{"net/ipv4/ip_nonlocal_bind", offsetof(struct host_settings, nonlocal_bind)},
	{"net/ipv6/ip_nonlocal_bind", offsetof(struct host_settings, nonlocal_bind6)},
	{"net/ipv6/bindv6only", offsetof(struct host_settings, bindv6only)},
	{"net/ipv4/ip_early_demux", offsetof(struct host_settings, early_demux)},
	{"net/ipv4/tcp_tw_reuse", offsetof(struct host_settings, tw_reuse)},
	{"net/ipv4/tcp_max_tw_buckets", offsetof(struct host_settings, max_tw_buckets)},
	{"net/ipv4/tcp_fin_timeout", offsetof(struct host_settings, fin_timeout_s)},
	{"net/ipv4/tcp_max_orphans", offsetof(struct host_settings, max_orphans)},
	{"net/ipv4/tcp_syncookies", offsetof(struct host_settings, syncookies)},
	{"net/ipv4/tcp_abort_on_overflow", offsetof(struct host_settings, abort_on_overflow)},
	{"net/ipv4/tcp_max_syn_backlog", offsetof(struct host_settings, max_syn_backlog)},
	{"net/core/somaxconn", offsetof(struct host_settings, somaxconn)},
	{"net/ipv4/ip_local_port_step_width", offsetof(struct host_settings, port_step_width)},
};

/* The first numbers of a file below /proc/sys; how many there were. */
static int read_numbers(int sys, const char *file, long long v[2])
{
	char text[64];

	if (host_slurp(sys, file, text, sizeof(text)) <= 0)
		return 0;
	return sscanf(text, "%lld %lld", &v[0], &v[1]);
}

int host_reserved_parse(const char *text, uint64_t bits[1024])
{
	text += strspn(text, " \t\n");
	while (*text) {
		char *end;
		unsigned long first = strtoul(text, &end, 10), last = first;

		if (end == text || *text < '0' || *text > '9')
			return -EINVAL;
		if (*end == '-') {
			text = end + 1;
			last = strtoul(text, &end, 10);
			if (end == text || *text < '0' || *text > '9')
				return -EINVAL;
		}
		if (first > UINT16_MAX || last > UINT16_MAX || first > last)
			return -EINVAL;
		for (unsigned long p = first; p <= last; p++)
			bits[p / 64] |= UINT64_C(1) << (p % 64);
		text = end + strspn(end, ", \t\n");
	}
	return 0;
}

static void read_reserved(int sys, struct host_settings *s)
{
	char *text = malloc(RESERVED_BYTES);
	long n = text ? host_slurp(sys, "net/ipv4/ip_local_reserved_ports", text, RESERVED_BYTES) : -ENOMEM;

	if (n > 0)
		s->is_reserved_cut = host_reserved_parse(text, s->reserved) < 0 || n == RESERVED_BYTES - 1;
	else
		s->is_reserved_cut = n < 0 && n != -ENOENT;
	free(text);
	for (size_t i = 0; i < COUNT_OF(s->reserved); i++)
		s->n_reserved += (uint32_t)__builtin_popcountll(s->reserved[i]);
}

bool host_settings_is_reserved(const struct host_settings *s, uint16_t port)
{
	return s->reserved[port / 64] >> (port % 64) & 1;
}

void host_settings_read(const struct host_root *root, struct host_settings *ret)
{
	char path[512];
	long long v[2];
	int sys;

	*ret = (struct host_settings){.ports = {.range = {32768, 60999}, .unprivileged_start = 1024},
				      .nr_open = HOST_UNSET,
				      .file_max = HOST_UNSET};
	snprintf(path, sizeof(path), "%s/sys", host_root_proc(root));
	sys = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (read_numbers(sys, "net/ipv4/ip_local_port_range", v) == 2 && v[0] > 0 && v[0] <= v[1] &&
	    v[1] <= UINT16_MAX) {
		ret->ports.range = (struct port_range){(uint16_t)v[0], (uint16_t)v[1]};
		ret->has_range = true;
	}
	if (read_numbers(sys, "net/ipv4/ip_unprivileged_port_start", v) == 1 && v[0] >= 0 && v[0] <= UINT16_MAX) {
		ret->ports.unprivileged_start = (uint16_t)v[0];
		ret->has_unprivileged = true;
	}
	for (size_t i = 0; i < COUNT_OF(numbers); i++) {
		int32_t number = HOST_UNSET;

		if (read_numbers(sys, numbers[i].file, v) >= 1 && v[0] >= 0 && v[0] <= INT32_MAX)
			number = (int32_t)v[0];
		memcpy((char *)ret + numbers[i].at, &number, sizeof(number));
	}
	if (read_numbers(sys, "fs/nr_open", v) == 1)
		ret->nr_open = v[0];
	if (read_numbers(sys, "fs/file-max", v) == 1)
		ret->file_max = v[0];
	read_reserved(sys, ret);
	if (sys >= 0)
		close(sys);
}

/* "TCP: inuse 2 orphan 0 tw 1 alloc 308 mem 382": the number after word, in the line that begins with line. */
static int32_t count_in(const char *text, const char *line, const char *word)
{
	size_t n = strlen(line);

	for (const char *p = text; *p; p += strcspn(p, "\n") + (p[strcspn(p, "\n")] == '\n')) {
		const char *end = p + strcspn(p, "\n"), *at;
		int v;

		if (strncmp(p, line, n) != 0 || p[n] != ':')
			continue;
		at = memmem(p, (size_t)(end - p), word, strlen(word));
		return at && sscanf(at + strlen(word), "%d", &v) == 1 ? v : HOST_UNSET;
	}
	return HOST_UNSET;
}

static void read_net(const struct host_root *root, const char *file, char *text, size_t room)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s/%s", host_root_proc(root), host_root_net(root), file);
	(void)host_slurp(AT_FDCWD, path, text, room);
}

void host_counts_read(const struct host_root *root, struct host_counts *ret)
{
	char text[2048], text6[2048];

	read_net(root, "sockstat", text, sizeof(text));
	read_net(root, "sockstat6", text6, sizeof(text6));
	*ret = (struct host_counts){
		.tcp_in_use = count_in(text, "TCP", "inuse "),
		.tcp_orphans = count_in(text, "TCP", "orphan "),
		.tcp_time_wait = count_in(text, "TCP", "tw "),
		.tcp_allocated = count_in(text, "TCP", "alloc "),
		.tcp_memory_pages = count_in(text, "TCP", "mem "),
		.tcp6_in_use = count_in(text6, "TCP6", "inuse "),
		.udp_in_use = count_in(text, "UDP", "inuse "),
		.udp_memory_pages = count_in(text, "UDP", "mem "),
		.udp6_in_use = count_in(text6, "UDP6", "inuse "),
		.raw_in_use = count_in(text, "RAW", "inuse "),
		.raw6_in_use = count_in(text6, "RAW6", "inuse "),
	};
}
