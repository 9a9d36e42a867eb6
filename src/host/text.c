/* src/host/text.c: sockets out of /proc/net, for where netlink is forbidden or too old.
 *
 * A line a socket, addresses as hexadecimal words of this machine's order:
 *
 *     sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ...
 *      0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 12345 ...
 *
 * There are no cookies, no flags and no bound and idle TCP sockets, and whether a [::] also takes IPv4 is not said.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/text.h"

#define TICK_MS 10 /* USER_HZ is 100 on every Linux */

/* "0100007F:1F90". Returns where it ends; NULL: it is none. */
static const char *read_endpoint(const char *s, enum port_family family, struct port_addr *ret, uint16_t *ret_port)
{
	uint8_t b[16] = {0};
	char *end;
	unsigned long port;

	for (int w = 0; w < (family == PORT_FAMILY_6 ? 4 : 1); w++, s += 8) {
		char word[9] = {0};
		uint32_t v;

		for (int i = 0; i < 8; i++) {
			if (!isxdigit((unsigned char)s[i]))
				return NULL;
			word[i] = s[i];
		}
		v = (uint32_t)strtoul(word, NULL, 16);
		memcpy(b + w * 4, &v, 4);
	}
	if (*s++ != ':' || !isxdigit((unsigned char)*s))
		return NULL;
	port = strtoul(s, &end, 16);
	if (port > UINT16_MAX)
		return NULL;
	*ret = family == PORT_FAMILY_6 ? port_addr_from6(b, 0) : port_addr_from4(b);
	*ret_port = (uint16_t)port;
	return end;
}

int host_text_parse(const char *line, enum host_proto proto, enum port_family family, struct host_socket *ret)
{
	struct host_socket s = {.proto = (uint8_t)proto, .family = (uint8_t)family};
	unsigned state, tx, rx, timer, when, retransmits, uid;
	unsigned long inode;
	const char *p = strchr(line, ':');

	if (!p)
		return -EBADMSG;
	p += 1 + strspn(p + 1, " ");
	p = read_endpoint(p, family, &s.addr, &s.port);
	if (!p)
		return -EBADMSG;
	p += strspn(p, " ");
	p = read_endpoint(p, family, &s.peer, &s.peer_port);
	if (!p || sscanf(p, " %x %x:%x %x:%x %x %u %*d %lu", &state, &tx, &rx, &timer, &when, &retransmits, &uid,
			 &inode) != 8)
		return -EBADMSG;
	if (state == 0 || state >= HOST_BOUND)
		return -EBADMSG;
	s.state = (uint8_t)(state == HOST_CLOSE ? HOST_BOUND : state == HOST_NEW_SYN_RECV ? HOST_SYN_RECV : state);
	s.timer = (uint8_t)(timer <= HOST_TIMER_PROBE ? timer : HOST_TIMER_NONE);
	s.timer_ms = timer ? (uint32_t)((uint64_t)when * TICK_MS) : 0;
	s.retransmits = (uint8_t)retransmits;
	s.rqueue = rx;
	s.wqueue = tx;
	s.have = HOST_HAS_QUEUES;
	s.inode = inode;
	if (s.state != HOST_TIME_WAIT && s.state != HOST_SYN_RECV) {
		s.uid = uid;
		s.have |= HOST_HAS_UID;
	}
	*ret = s;
	return 0;
}

static bool wanted(const struct host_filter *f, const struct host_socket *s)
{
	if (f->states && !(f->states & (1u << s->state)))
		return false;
	return f->ports.last == 0 || (s->port >= f->ports.first && s->port <= f->ports.last);
}

int host_text_read(const struct host_root *root, enum host_proto proto, enum port_family family,
		   const struct host_filter *f, const struct host_sink *sink, struct host_notes *notes, int *ret_stop)
{
	char path[512], line[512];
	struct host_socket s;
	bool first = true;
	FILE *file;

	*ret_stop = 0;
	snprintf(path, sizeof(path), "%s/%s/%s%s", host_root_proc(root), host_root_net(root), host_proto_name[proto],
		 family == PORT_FAMILY_6 ? "6" : "");
	file = fopen(path, "re");
	if (!file)
		return -errno;
	if (sink->begin)
		sink->begin(sink->ctx);
	while (*ret_stop == 0 && fgets(line, sizeof(line), file)) {
		if (host_text_parse(line, proto, family, &s) < 0)
			notes->n_bad += !first; /* the title */
		else if (wanted(f, &s))
			*ret_stop = sink->each(sink->ctx, &s, NULL);
		first = false;
	}
	fclose(file);
	return 0;
}
