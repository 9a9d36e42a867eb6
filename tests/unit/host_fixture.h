/* tests/unit/host_fixture.h: a folder with canned files of /proc, made and removed by the test. */
#ifndef BERTH_TESTS_HOST_FIXTURE_H
#define BERTH_TESTS_HOST_FIXTURE_H

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char canned_root[64];

static inline int remove_one(const char *path, const struct stat *st, int flag, struct FTW *f)
{
	(void)st;
	(void)flag;
	(void)f;
	return remove(path);
}

static inline int canned_begin(void **state)
{
	(void)state;
	snprintf(canned_root, sizeof(canned_root), "/tmp/berth-host-XXXXXX");
	return mkdtemp(canned_root) ? 0 : -1;
}

static inline int canned_end(void **state)
{
	(void)state;
	return nftw(canned_root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* The folders above path, made. */
static inline void canned_folders(const char *path, char full[512])
{
	snprintf(full, 512, "%s/%s", canned_root, path);
	for (char *p = full + strlen(canned_root) + 1; (p = strchr(p, '/')) != NULL; p++) {
		*p = '\0';
		(void)!mkdir(full, 0755);
		*p = '/';
	}
}

static inline void canned_octets(const char *path, const char *text, size_t n)
{
	char full[512];
	int fd;

	canned_folders(path, full);
	fd = open(full, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, n), n);
	close(fd);
}

static inline void canned_file(const char *path, const char *text)
{
	canned_octets(path, text, strlen(text));
}

static inline void canned_link(const char *path, const char *target)
{
	char full[512];

	canned_folders(path, full);
	assert_int_equal(symlink(target, full), 0);
}

#endif
