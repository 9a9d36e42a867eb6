/* src/cli/registry.c: the file of a newer registry: where it is, taking one in, using it, telling how old it is.
 *
 * It is called `ports.registry` and lies in the first of these folders that has one:
 *
 *   $XDG_DATA_HOME/berth          if that variable is set to an absolute path
 *   ~/.local/share/berth          otherwise; not for root, who writes for all
 *   /var/lib/berth                root's, for everybody
 *
 * Only the command line uses it. What programs under berth are told by getservbyname() is the built-in table of the library
 * they run with: two programs of one network must not differ because their users do.
 *
 * IANA's file is read once, when it is taken in, and never again: what is kept is our own form (registry_make.c), written
 * beside the old one and moved over it. A file that has less than half of the built-in names is no registry.
 */
#include "cli/registry.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/registry_make.h"

#define FILE_NAME "ports.registry"
#define SYSTEM_FOLDER "/var/lib/berth"
#define CSV_BYTES_MAX (64u << 20) /* IANA's has 1.3 MB */
#define PATH_BYTES 4096

enum { N_PLACES = 2 };

static struct {
	bool looked;
	char path[PATH_BYTES]; /* of the file in use; "": the built-in table */
	struct registry_head head;
	struct registry_tables tables;
} used;

/* Where one may be, the first to be asked in front. Return: how many. */
static int places(char folder[N_PLACES][PATH_BYTES])
{
	const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
	int n = 0;

	if (data && data[0] == '/')
		snprintf(folder[n++], PATH_BYTES, "%.3900s/berth", data);
	else if (geteuid() != 0 && home && home[0] == '/')
		snprintf(folder[n++], PATH_BYTES, "%.3900s/.local/share/berth", home);
	snprintf(folder[n++], PATH_BYTES, "%s", SYSTEM_FOLDER);
	return n;
}

/* Return: descriptor; -ENOENT; others, and *ret_why. */
static int open_file(const char *path, off_t *ret_len, const char **ret_why)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	*ret_why = "it cannot be read";
	if (fd < 0)
		return errno == ENOTDIR ? -ENOENT : -errno;
	if (fstat(fd, &st) == 0) {
		if (!S_ISREG(st.st_mode))
			*ret_why = "it is no file";
		else if (st.st_uid != geteuid() && st.st_uid != 0)
			*ret_why = "it belongs to somebody else";
		else if (st.st_mode & (S_IWGRP | S_IWOTH))
			*ret_why = "others may write into it";
		else if (st.st_size >= (off_t)REGISTRY_BYTES_MAX)
			*ret_why = "it is too big";
		else {
			*ret_len = st.st_size;
			return fd;
		}
	}
	close(fd);
	return -EPERM;
}

/* Return: 0, in use; -ENOENT; others, and *ret_why. */
static int load(const char *path, const char **ret_why)
{
	off_t len = 0;
	ssize_t got = 0, n = 0;
	char *text;
	int fd = open_file(path, &len, ret_why), r;

	if (fd < 0)
		return fd;
	*ret_why = "there is not enough memory";
	text = malloc((size_t)len + 1);
	while (text && got < len && (n = read(fd, text + got, (size_t)(len - got))) > 0)
		got += n;
	close(fd);
	if (!text)
		return -ENOMEM;
	text[got] = '\0';
	r = n < 0 ? -EIO : registry_read(text, (size_t)got, &used.head, &used.tables);
	if (r < 0) {
		*ret_why = r == -EPROTO ? "it was written by a later version of berth" : "it is damaged";
		free(text);
		return r;
	}
	port_service_use(&used.tables.t);
	snprintf(used.path, sizeof(used.path), "%s", path);
	return 0;
}

void registry_use(struct cli *cli)
{
	char folder[N_PLACES][PATH_BYTES], path[PATH_BYTES];
	int n = places(folder);

	if (used.looked)
		return;
	used.looked = true;
	for (int i = 0; i < n && !used.path[0]; i++) {
		const char *why;
		int r;

		snprintf(path, sizeof(path), "%.4000s/%s", folder[i], FILE_NAME);
		r = load(path, &why);
		if (r < 0 && r != -ENOENT && r != -EACCES)
			cli_warn(cli,
				 "the registry of port names in %s is not used: %s ('berth name --update FILE' makes "
				 "it anew, --remove removes it)",
				 cli_clean(path), why);
	}
}

/* --- taking one in --- */

static struct iana_csv *read_csv(struct cli *cli, FILE *f, const char *shown)
{
	static char block[64 * 1024];
	time_t now = time(NULL);
	char today[IANA_DATE_MAX];
	struct tm tm;
	struct iana_csv *c;
	size_t n, total = 0;
	uint64_t record;
	const char *what;
	int r = 0;

	strftime(today, sizeof(today), "%Y-%m-%d", gmtime_r(&now, &tm));
	c = iana_csv_new(today);
	if (!c) {
		(void)cli_fail(cli, -ENOMEM, "cannot read %s", shown);
		return NULL;
	}
	while (r == 0 && total <= CSV_BYTES_MAX && (n = fread(block, 1, sizeof(block), f)) > 0) {
		r = iana_csv_feed(c, block, n);
		total += n;
	}
	if (ferror(f)) {
		(void)cli_fail(cli, -errno, "cannot read %s", shown);
	} else if (total > CSV_BYTES_MAX) {
		(void)cli_fail(cli, 0, "%s has more than 64 MiB, IANA's registry some 1.3: nothing was changed", shown);
	} else if (r < 0 || iana_csv_end(c) < 0) {
		what = iana_csv_error(c, &record);
		if (record > 1)
			(void)cli_fail(cli, 0, "%s, record %" PRIu64 ": %s. Nothing was changed", shown, record, what);
		else
			(void)cli_fail(cli, 0, "%s: %s. Nothing was changed", shown, what);
	} else {
		return c;
	}
	iana_csv_free(c);
	return NULL;
}

/* The folder and those above it. */
static int make_folder(const char *folder)
{
	char path[PATH_BYTES];
	int r = 0;

	snprintf(path, sizeof(path), "%s", folder);
	for (char *p = path + 1;; p++) {
		char c = *p;

		if (c && c != '/')
			continue;
		*p = '\0';
		r = mkdir(path, 0755) == 0 || errno == EEXIST ? 0 : -errno;
		*p = c;
		if (!c)
			return r;
	}
}

static int write_file(const char *path, const char *text, size_t len)
{
	char temp[PATH_BYTES + 16];
	size_t done = 0;
	int fd, r = 0;

	snprintf(temp, sizeof(temp), "%s.XXXXXX", path);
	fd = mkostemp(temp, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (done < len && r == 0) {
		ssize_t n = write(fd, text + done, len - done);

		r = n < 0 ? -errno : 0;
		done += n > 0 ? (size_t)n : 0;
	}
	if (r == 0 && (fchmod(fd, 0644) < 0 || fsync(fd) < 0))
		r = -errno;
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0 && rename(temp, path) < 0)
		r = -errno;
	if (r < 0)
		unlink(temp);
	return r;
}

/* Where this user's is written. */
static void own_path(char folder[PATH_BYTES], char path[PATH_BYTES])
{
	char all[N_PLACES][PATH_BYTES];

	(void)places(all);
	memcpy(folder, all[0], PATH_BYTES);
	snprintf(path, PATH_BYTES, "%.4000s/%s", folder, FILE_NAME);
}

/* "3 days", "2 years" */
static char *print_days(int64_t days, char s[32])
{
	if (days < 0)
		days = 0;
	if (days >= 730)
		snprintf(s, 32, "%" PRId64 " years", days / 365);
	else
		snprintf(s, 32, "%" PRId64 " day%s", days, days == 1 ? "" : "s");
	return s;
}

static int64_t days_since(const char *date)
{
	struct tm tm = {0};

	if (sscanf(date, "%4d-%2d-%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday) != 3)
		return -1;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	return (time(NULL) - timegm(&tm)) / 86400;
}

static int keep(struct cli *cli, const struct iana_csv *c)
{
	char folder[PATH_BYTES], path[PATH_BYTES], *text = NULL;
	struct registry_head head = {.taken_unix_s = time(NULL)};
	struct port_service_tables built_in;
	const struct iana_row *rows;
	size_t len = 0;
	uint32_t n;
	int r;

	port_service_built_in(&built_in);
	rows = iana_csv_rows(c, &n);
	if (n < built_in.n_rows / 2)
		return cli_fail(cli, 0,
				"it has %u names, less than half of the %u that are built in: that is not the whole "
				"registry. Nothing was changed",
				n, built_in.n_rows);
	snprintf(head.newest, sizeof(head.newest), "%s", iana_csv_newest(c));
	own_path(folder, path);
	r = registry_make(rows, n, &built_in, &head, &text, &len);
	if (r == 0)
		r = make_folder(folder);
	if (r == 0)
		r = write_file(path, text, len);
	free(text);
	if (r < 0)
		return cli_fail(cli, r, "cannot write %s", cli_clean(path));
	if (iana_csv_n_odd(c) > 0)
		cli_warn(cli, "%" PRIu64 " records make no sense and were left out", iana_csv_n_odd(c));
	return registry_show(cli);
}

int registry_update(struct cli *cli, const char *file)
{
	bool input = strcmp(file, "-") == 0;
	FILE *f = input ? stdin : fopen(file, "re");
	char shown[256];
	struct iana_csv *c;
	int r = CLI_FAILED;

	snprintf(shown, sizeof(shown), "%s", input ? "standard input" : file);
	cli_clean(shown);
	if (!f)
		return cli_fail(cli, -errno, "cannot read %s", shown);
	c = read_csv(cli, f, shown);
	if (c)
		r = keep(cli, c);
	iana_csv_free(c);
	if (!input)
		fclose(f);
	return r;
}

int registry_remove(struct cli *cli)
{
	char folder[PATH_BYTES], path[PATH_BYTES];

	own_path(folder, path);
	if (unlink(path) < 0) {
		if (errno != ENOENT && errno != ENOTDIR)
			return cli_fail(cli, -errno, "cannot remove %s", cli_clean(path));
		cli_warn(cli, "there is no %s", cli_clean(path));
	}
	return registry_show(cli);
}

int registry_show(struct cli *cli)
{
	struct port_service_tables built_in;
	const char *newest;
	char days[32], taken[32];
	uint32_t n;

	registry_use(cli);
	port_service_built_in(&built_in);
	newest = used.path[0] ? used.head.newest : service_date;
	n = used.path[0] ? used.head.n_rows : built_in.n_rows;
	if (cli->json)
		return cli_json(cli,
				json_pack("{s:o, s:i, s:o, s:o}", "registry",
					  used.path[0] ? cli_json_text(used.path) : json_null(), "names", (int)n,
					  "newest", newest[0] ? json_string(newest) : json_null(), "taken_in_unix_s",
					  used.path[0] ? json_integer(used.head.taken_unix_s) : json_null()));
	if (!used.path[0])
		return cli_say(cli, "names of ports: the registry in berth %s, %u names\nit is of:       %s, %s old\n",
			       BERTH_VERSION, n, newest, print_days(days_since(newest), days));
	cli_say(cli, "names of ports: %s, %u names\n", cli_clean(used.path), n);
	if (newest[0])
		cli_say(cli, "newest entry:   %s, %s old\n", newest, print_days(days_since(newest), days));
	return cli_say(cli, "taken in:       %s ago\n",
		       print_days((time(NULL) - used.head.taken_unix_s) / 86400, taken));
}
