/* src/network/dir.c: where networks live, and whether we may trust the place.
 *
 * A directory is opened first and looked at through the descriptor, so what was checked is what is
 * used. It must be a directory and no symbolic link, ours, and closed to everybody else: every
 * network's secrets and listeners are reachable by whoever can enter it.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "network/internal.h"

int error_say(struct network_error *e, int err, const char *a, const char *b, const char *c)
{
	struct text t;

	if (!e)
		return err;
	e->err = err;
	t = text_on(e->what, sizeof(e->what));
	if (a)
		text_str(&t, a);
	if (a && b)
		text_str(&t, b);
	if (a && b && c)
		text_str(&t, c);
	return err;
}

int error_because(struct network_error *e, int err, const char *a, const char *b)
{
	static const struct {
		int err;
		const char *text;
	} reasons[] = {
		{-ENOSPC, ": no space left on the device"},
		{-EDQUOT, ": the disk quota is used up"},
		{-EROFS, ": the file system is read-only"},
		{-EFBIG, ": the limit on the size of files is too low (ulimit -f)"},
		{-EMFILE, ": no descriptors left (ulimit -n)"},
		{-ENFILE, ": no descriptors left on this machine"},
		{-EACCES, ": no permission"},
		{-EPERM, ": no permission"},
		{-ENOENT, ": there is no such file"},
		{-ENOMEM, ": no memory left (ulimit -v)"},
	};
	const char *reason = "";
	struct text t;

	for (size_t i = 0; i < COUNT_OF(reasons); i++)
		if (reasons[i].err == err)
			reason = reasons[i].text;
	(void)error_say(e, err, a, b, reason);
	if (e && !*reason) {
		t = text_on(e->what, sizeof(e->what));
		text_str(&t, a);
		text_str(&t, b);
		text_str(&t, " (error ");
		text_u64(&t, (uint64_t)-err);
		text_str(&t, ")");
	}
	return err;
}

int raw_fstat(int fd, struct stat *ret)
{
	int keep = errno, r = fstat(fd, ret) < 0 ? -errno : 0;

	errno = keep;
	return r;
}

int raw_lstatat(int dir, const char *path, struct stat *ret)
{
	int keep = errno, r = fstatat(dir, path, ret, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;

	errno = keep;
	return r;
}

int write_all(int fd, const char *s, size_t len_bytes)
{
	if (file_too_long(len_bytes))
		return -EFBIG;
	for (size_t at = 0; at < len_bytes;) {
		long r = raw_pwrite(fd, s + at, len_bytes - at, at);

		if (r == -EINTR)
			continue;
		if (r <= 0)
			return r < 0 ? (int)r : -EIO;
		at += (size_t)r;
	}
	return 0;
}

static int check_fd(int fd, const char *shown, struct network_error *reterr)
{
	struct stat st;
	char text[128];
	struct text t = text_on(text, sizeof(text));
	int r = raw_fstat(fd, &st);

	if (r < 0)
		return error_because(reterr, r, shown, " cannot be looked at");
	if (st.st_uid != raw_geteuid()) {
		text_str(&t, " belongs to user ");
		text_u64(&t, st.st_uid);
		text_str(&t, ", not to you (user ");
		text_u64(&t, raw_geteuid());
		text_str(&t, ")");
		return error_say(reterr, -EPERM, shown, text, NULL);
	}
	if (st.st_mode & 077) {
		text_str(&t, " is open to others (mode 0");
		text_u64(&t, (st.st_mode >> 6 & 7) * 100 + (st.st_mode >> 3 & 7) * 10 + (st.st_mode & 7));
		text_str(&t, "): berth needs a folder that only you can enter; set BERTH_DIR to one");
		return error_say(reterr, -EACCES, shown, text, NULL);
	}
	return 0;
}

int dir_open_checked(int at, const char *path, const char *shown, struct network_error *reterr)
{
	struct stat st;
	int fd = raw_openat(at, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
	int r;

	if (fd == -ENOENT)
		return error_say(reterr, fd, shown, " does not exist", NULL);
	if ((fd == -ENOTDIR || fd == -ELOOP) && raw_lstatat(at, path, &st) == 0 && S_ISLNK(st.st_mode))
		return error_say(reterr, -ELOOP, shown, " is a symbolic link, which is refused here", NULL);
	if (fd == -ENOTDIR)
		return error_say(reterr, fd, shown, " is not a directory", NULL);
	if (fd < 0) {
		if (raw_lstatat(at, path, &st) == 0 && st.st_uid != raw_geteuid())
			return error_say(reterr, -EPERM, shown, " belongs to another user", NULL);
		return error_because(reterr, fd, shown, " cannot be opened");
	}
	r = check_fd(fd, shown, reterr);
	if (r < 0) {
		raw_close(fd);
		return r;
	}
	return fd;
}

/* Write down where it would be: $BERTH_DIR, the folder under /run/user, the temporary directory. */
static int choose(char ret[NETWORK_PATH_MAX], struct network_error *reterr)
{
	const char *env = secure_getenv("BERTH_DIR");
	struct text t = text_on(ret, NETWORK_PATH_MAX);
	uint32_t euid = raw_geteuid();
	struct stat st;

	if (env && *env) {
		if (*env != '/') {
			long r = raw_call(SYS_getcwd, (long)ret, NETWORK_PATH_MAX, 0, 0, 0, 0);

			if (r < 0 || ret[0] != '/')
				return error_say(reterr, r < 0 ? (int)r : -ENOENT,
						 "BERTH_DIR is relative and the working directory has no name", NULL,
						 NULL);
			t.len = strlen(ret);
			text_str(&t, "/");
		}
		text_str(&t, env);
		while (t.len > 1 && ret[t.len - 1] == '/')
			ret[--t.len] = '\0'; /* a final slash would follow a symbolic link */
	} else {
		text_str(&t, "/run/user/");
		text_u64(&t, euid);
		if (raw_lstatat(AT_FDCWD, ret, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == euid) {
			text_str(&t, "/berth");
		} else {
			env = secure_getenv("TMPDIR");
			t = text_on(ret, NETWORK_PATH_MAX);
			text_str(&t, env && *env == '/' ? env : "/tmp");
			text_str(&t, "/berth-");
			text_u64(&t, euid);
		}
	}
	if (t.full || t.len + NETWORK_NAME_MAX + PATH_LEAF_MAX > NETWORK_PATH_MAX)
		return error_say(reterr, -ENAMETOOLONG, "the berth directory's path is too long", NULL, NULL);
	return 0;
}

int network_base_dir(bool make, char ret[NETWORK_PATH_MAX], struct network_error *reterr)
{
	int r = choose(ret, reterr);

	if (r < 0)
		return r;
	if (make) {
		r = raw_mkdirat(AT_FDCWD, ret, 0700);
		if (r < 0 && r != -EEXIST)
			return r == -ENOENT ? error_say(reterr, r, ret,
							" cannot be made: the directory above it does not exist", NULL)
					    : error_because(reterr, r, ret, " cannot be made");
	}
	r = dir_open_checked(AT_FDCWD, ret, ret, reterr);
	if (r < 0)
		return r;
	raw_close(r);
	return 0;
}

bool network_name_ok(const char *name)
{
	size_t len = name ? strlen(name) : 0;

	if (len == 0 || len >= NETWORK_NAME_MAX || name[0] == '-' || name[len - 1] == '-')
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = name[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-'))
			return false;
	}
	return true;
}

struct linux_dirent64 { /* getdents64(2) */
	uint64_t ino;
	int64_t off;
	uint16_t len_bytes;
	uint8_t type;
	char name[];
};

int dir_each(int fd, int (*each)(void *ctx, int dir, const char *name), void *ctx)
{
	_Alignas(8) char buf[4096];

	for (;;) {
		long n = raw_getdents(fd, buf, sizeof(buf));

		if (n <= 0)
			return (int)n;
		for (long at = 0; at < n;) {
			struct linux_dirent64 *e = (void *)(buf + at);
			int r;

			at += e->len_bytes;
			if (e->name[0] == '.' && (!e->name[1] || (e->name[1] == '.' && !e->name[2])))
				continue;
			r = each(ctx, fd, e->name);
			if (r != 0)
				return r;
		}
	}
}

int dir_reopen(const struct network *n)
{
	return dir_open_checked(AT_FDCWD, n->dir, n->dir, NULL);
}

static int remove_leaf(void *ctx, int dir, const char *name)
{
	(void)ctx;
	(void)raw_unlinkat(dir, name, 0);
	return 0;
}

static int remove_entry(void *ctx, int dir, const char *name)
{
	if (raw_unlinkat(dir, name, 0) == -EISDIR) {
		int fd = raw_openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);

		if (fd >= 0) {
			(void)dir_each(fd, remove_leaf, ctx);
			raw_close(fd);
		}
		(void)raw_unlinkat(dir, name, AT_REMOVEDIR);
	}
	return 0;
}

int dir_remove_tree(int dir, const char *name)
{
	int fd = raw_openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);

	if (fd < 0)
		return fd;
	/* Removing while reading may skip entries; a second pass finds them. */
	for (int pass = 0; pass < 4; pass++) {
		(void)raw_call(SYS_lseek, fd, 0, SEEK_SET, 0, 0, 0);
		(void)dir_each(fd, remove_entry, NULL);
	}
	raw_close(fd);
	return raw_unlinkat(dir, name, AT_REMOVEDIR);
}
