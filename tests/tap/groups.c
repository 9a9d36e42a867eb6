/* tests/tap/groups.c: UDP sockets in groups, for rows that do the same in the kernel: what each says of them is on the device.
 *
 *	group open SLOT 4|6			group close SLOT
 *	group join|leave|get SLOT GROUP		group add|drop|block|unblock SLOT GROUP SOURCE
 *	group in|ex SLOT GROUP [SOURCE...]	all of the filter
 *
 * Each is answered by a line: "ok" or an errno's name; get by "in" or "ex" and the sources.
 */
#include "driver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 128
#define WORDS 300

static berth_sock slots[SLOTS];

static int open_slot(struct driver *d, unsigned slot, bool is6)
{
	int r = berth_sock_open(d->st, BERTH_UDP, is6 ? BERTH_IPV6 : BERTH_IPV4, UINT64_MAX, &slots[slot]);

	return r == 0 && is6 ? berth_sock_set(d->st, slots[slot], BERTH_V6ONLY, 1) : r;
}

static int get(struct driver *d, unsigned slot, const struct berth_addr *group)
{
	struct berth_addr v[WORDS];
	enum berth_filter_mode mode;
	unsigned n = WORDS;
	int r = berth_sock_get_filter(d->st, slots[slot], group, d->iface, &mode, v, &n);
	char text[INET6_ADDRSTRLEN];

	if (r < 0)
		return r;
	printf("%s", mode == BERTH_INCLUDE ? "in" : "ex");
	for (unsigned i = 0; i < n && i < WORDS; i++) {
		bool is4 = group->ip[0] == 0;

		printf(" %s", inet_ntop(is4 ? AF_INET : AF_INET6, v[i].ip + (is4 ? 12 : 0), text, sizeof(text)));
	}
	printf("\n");
	return 1;
}

static int change(struct driver *d, const char *what, berth_sock s, const struct berth_addr *group,
		  const struct berth_addr *sources, unsigned n)
{
	static const char *const one[] = {"add", "drop", "block", "unblock"};

	if (strcmp(what, "join") == 0)
		return berth_sock_join(d->st, s, group, d->iface);
	if (strcmp(what, "leave") == 0)
		return berth_sock_leave(d->st, s, group, d->iface);
	if (strcmp(what, "in") == 0 || strcmp(what, "ex") == 0)
		return berth_sock_set_filter(d->st, s, group, d->iface, what[0] == 'i' ? BERTH_INCLUDE : BERTH_EXCLUDE,
					     sources, n);
	for (unsigned i = 0; i < COUNT_OF(one) && n == 1; i++)
		if (strcmp(what, one[i]) == 0)
			return berth_sock_source(d->st, s, (enum berth_source_change)i, group, sources, d->iface);
	return -ENOSYS;
}

static int run(struct driver *d, char *text)
{
	struct berth_addr v[WORDS];
	char *save = NULL, *what = strtok_r(text, " ", &save), *number = strtok_r(NULL, " ", &save);
	unsigned slot = number ? (unsigned)strtoul(number, NULL, 10) : SLOTS, n = 0;

	if (slot >= SLOTS)
		return -EINVAL;
	for (char *w = strtok_r(NULL, " ", &save); w && n < WORDS; w = strtok_r(NULL, " ", &save)) {
		if (strcmp(what, "open") == 0)
			return open_slot(d, slot, w[0] == '6');
		if (!parse_addr(w, 0, &v[n++]))
			return -EINVAL;
	}
	if (strcmp(what, "close") == 0)
		return berth_sock_close(d->st, slots[slot]);
	if (n == 0)
		return -EINVAL;
	if (strcmp(what, "get") == 0)
		return get(d, slot, &v[0]);
	return change(d, what, slots[slot], &v[0], v + 1, n - 1);
}

void groups_command(struct driver *d, char *text)
{
	int r = run(d, text);

	if (r <= 0)
		printf("%s\n", r < 0 ? strerrorname_np(-r) : "ok");
}
