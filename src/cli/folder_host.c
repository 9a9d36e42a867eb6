/* src/cli/folder_host.c: `-H auto`: a host named after a folder, always the same one, and no two folders the same.
 *
 * The network remembers whose host is whose in the file `folders` of its directory, a line each: the host's name, a space, the
 * folder's path (with %0A for a line's end and %25 for a percent sign). The first folder that is called `shop` gets
 * host `shop`, the next one `shop-2`; a host that somebody made by that name is passed over. A name of a folder that is gone, on
 * whose host nothing has a port, is given to the next folder that is called so.
 *
 * The file is replaced as a whole, under a lock on the directory, so that reading it needs none. It goes with the network.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/folder.h"

enum { BASE_MAX = 48, TRIES_MAX = 4096, LOCK_TRIES = 1000, LOCK_PAUSE_US = 5000 };
#define LEAF "folders"
#define LINE_MAX_OCTETS (NETWORK_NAME_MAX + 3 * PATH_MAX + 2)

/* Names that mean something else. */
static const char *const taken[] = {"local", "localhost", "auto", "gateway"};

void folder_host_base(const char *path, char ret[NETWORK_NAME_MAX])
{
	const char *slash = strrchr(path, '/'), *p = slash ? slash + 1 : path;
	size_t n = 0;

	for (; *p && n < BASE_MAX; p++) {
		bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9');

		if (letter)
			ret[n++] = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
		else if (n > 0 && ret[n - 1] != '-')
			ret[n++] = '-';
	}
	while (n > 0 && ret[n - 1] == '-')
		n--;
	ret[n] = '\0';
	if (n == 0)
		strcpy(ret, "tree");
	for (size_t i = 0; i < COUNT_OF(taken); i++)
		if (strcmp(ret, taken[i]) == 0)
			strcat(ret, "-tree");
}

/* --- the file --- */

static void put_path(FILE *f, const char *path)
{
	for (; *path; path++)
		if (*path == '\n' || *path == '%')
			fprintf(f, "%%%02X", (unsigned)*path);
		else
			fputc(*path, f);
}

static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++)
		if (strncmp(s, "%0A", 3) == 0 || strncmp(s, "%25", 3) == 0) {
			*to++ = s[1] == '0' ? '\n' : '%';
			s += 2;
		} else {
			*to++ = *s;
		}
	*to = '\0';
}

struct line {
	char host[NETWORK_NAME_MAX];
	char path[3 * PATH_MAX];
};

/* The next good line; others are passed over, the file is for people, too. */
static bool next_line(FILE *f, struct line *ret)
{
	char text[LINE_MAX_OCTETS];

	while (f && fgets(text, sizeof(text), f)) {
		char *space = strchr(text, ' '), *end = strchr(text, '\n');

		if (!space || !end || (size_t)(space - text) >= sizeof(ret->host))
			continue;
		*space = *end = '\0';
		unescape(space + 1);
		if (space[1] != '/' || !network_name_ok(text))
			continue;
		memcpy(ret->host, text, (size_t)(space - text) + 1);
		snprintf(ret->path, sizeof(ret->path), "%s", space + 1);
		return true;
	}
	return false;
}

static FILE *open_lines(int dir)
{
	int fd = openat(dir, LEAF, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");

	if (!f && fd >= 0)
		close(fd);
	return f;
}

static bool find(int dir, const char *path, const char *host, struct line *ret)
{
	FILE *f = open_lines(dir);
	bool found = false;

	while (!found && next_line(f, ret))
		found = path ? strcmp(ret->path, path) == 0 : strcmp(ret->host, host) == 0;
	if (f)
		fclose(f);
	return found;
}

/* The file again, with this line in the place of what it says of the host. */
static int write_line(int dir, const struct line *add)
{
	int fd = openat(dir, LEAF ".new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600), r = 0;
	FILE *to = fd < 0 ? NULL : fdopen(fd, "w"), *from = open_lines(dir);
	static struct line l;

	if (!to) {
		r = -errno;
		if (fd >= 0)
			close(fd);
	}
	while (to && next_line(from, &l))
		if (strcmp(l.host, add->host) != 0 && strcmp(l.path, add->path) != 0) {
			fprintf(to, "%s ", l.host);
			put_path(to, l.path);
			fputc('\n', to);
		}
	if (from)
		fclose(from);
	if (!to)
		return r;
	fprintf(to, "%s ", add->host);
	put_path(to, add->path);
	fputc('\n', to);
	errno = 0;
	if (ferror(to) | fclose(to))
		r = errno ? -errno : -EIO;
	else if (renameat(dir, LEAF ".new", dir, LEAF) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(dir, LEAF ".new", 0);
	return r;
}

/* --- choosing --- */

/* Is its folder gone, and has nothing on its host a port? */
static bool is_left(struct cli *cli, const struct line *l)
{
	struct network_host h;
	struct network_lock lock;
	uint32_t claims;
	struct stat st;

	if (lstat(l->path, &st) == 0 || errno != ENOENT)
		return false;
	if (network_host_get(&cli->net, l->host, false, &h) < 0)
		return true;
	(void)network_sweep(&cli->net, h.index);
	if (network_lock(&cli->net, h.index, &lock) < 0)
		return false;
	claims = port_table_n_claims(&lock.table);
	network_unlock(&lock);
	return claims == 0;
}

static int choose(struct cli *cli, int dir, const char *path, struct line *ret)
{
	char base[NETWORK_NAME_MAX];
	static struct line other;
	struct network_host h;
	int r;

	folder_host_base(path, base);
	for (int i = 1; i <= TRIES_MAX; i++) {
		if (i == 1)
			snprintf(ret->host, sizeof(ret->host), "%s", base);
		else
			snprintf(ret->host, sizeof(ret->host), "%.*s-%d", BASE_MAX, base, i);
		if (find(dir, NULL, ret->host, &other) ? !is_left(cli, &other)
						       : network_host_get(&cli->net, ret->host, false, &h) != -ENOENT)
			continue;
		/* Made before it is written down: a name without a host would be free for everybody. */
		r = network_host_get(&cli->net, ret->host, true, &h);
		if (r < 0)
			return r;
		snprintf(ret->path, sizeof(ret->path), "%s", path);
		return write_line(dir, ret);
	}
	return -ENOSPC;
}

static int lock(int dir)
{
	int r;

	for (int i = 0; (r = flock(dir, LOCK_EX | LOCK_NB)) < 0 && i < LOCK_TRIES; i++)
		usleep(LOCK_PAUSE_US);
	return r < 0 ? -ETIMEDOUT : 0;
}

int folder_host(struct cli *cli, bool make, char ret[NETWORK_NAME_MAX])
{
	const char *path = folder_of_host(cli);
	static struct line l;
	int dir, r = -ENOENT;

	if (!path)
		return cli_fail(
			cli, 0,
			"the current folder does not exist any more: 'auto' has no folder to name the host after");
	dir = open(cli->net.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return cli_fail(cli, -errno, "cannot open %s", cli->net.dir);
	if (find(dir, path, NULL, &l)) {
		r = 0;
	} else if (make) {
		r = lock(dir);
		if (r == 0 && !find(dir, path, NULL, &l)) /* somebody may have been quicker */
			r = choose(cli, dir, path, &l);
	}
	close(dir);
	if (r == 0)
		memcpy(ret, l.host, NETWORK_NAME_MAX);
	if (r == 0 || r == -ENOENT)
		return r;
	if (r == -ENOSPC)
		return cli_fail(cli, 0,
				"no room for a host for this folder: network '%s' has given out all its addresses",
				cli->network_name);
	return cli_fail(cli, r, "cannot choose a host for this folder");
}
