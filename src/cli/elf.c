/* src/cli/elf.c: looking into a program's file before it runs.
 *
 * The loader ignores a preload it cannot use, silently, and the program would then use the real
 * network: nothing may slip there unnoticed. So `berth run` looks first. What
 * runs may be the interpreter that a "#!" line names, and env(1) names yet another; both are
 * followed, a few times.
 *
 * The file's octets are the world's: every offset is checked against what was read.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cli/elf.h"

#if defined(__x86_64__) && !defined(__ILP32__)
#define OUR_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define OUR_MACHINE EM_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define OUR_MACHINE EM_RISCV
#else
#error "berth is written for 64-bit Linux on amd64, arm64 and riscv64"
#endif

enum { SCRIPTS_MAX = 5 };

static ssize_t read_at(int fd, void *to, size_t n, uint64_t offset)
{
	if (offset > INT64_MAX - n)
		return -1;
	return pread(fd, to, n, (off_t)offset);
}

/* Ours: 64 bits, little endian as all three machines are. */
static int read_header(int fd, Elf64_Ehdr *h)
{
	if (read_at(fd, h, sizeof(*h), 0) != (ssize_t)sizeof(*h) || memcmp(h->e_ident, ELFMAG, SELFMAG) != 0)
		return -ENOEXEC;
	if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_ident[EI_DATA] != ELFDATA2LSB || h->e_machine != OUR_MACHINE)
		return -ELIBBAD;
	return 0;
}

/* The Go linker leaves a note of its own. */
static bool is_go_note(int fd, const Elf64_Phdr *p)
{
	struct {
		Elf64_Nhdr h;
		char name[4];
	} note;
	uint64_t at = 0;

	for (int i = 0; i < 16 && at + sizeof(note) <= p->p_filesz; i++) {
		if (read_at(fd, &note, sizeof(note), p->p_offset + at) != (ssize_t)sizeof(note))
			return false;
		if (note.h.n_namesz == 4 && memcmp(note.name, "Go\0", 4) == 0)
			return true;
		at += sizeof(note.h) + (((uint64_t)note.h.n_namesz + 3) & ~UINT64_C(3)) +
		      (((uint64_t)note.h.n_descsz + 3) & ~UINT64_C(3));
	}
	return false;
}

static enum elf_reach look_at_elf(int fd, const Elf64_Ehdr *h, const char *path)
{
	bool has_interp = false, go = false, musl = false;
	const char *base = strrchr(path, '/');
	char interp[256];

	base = base ? base + 1 : path;
	for (unsigned i = 0; i < h->e_phnum && i < 256; i++) {
		Elf64_Phdr p;

		if (h->e_phentsize < sizeof(p) ||
		    read_at(fd, &p, sizeof(p), h->e_phoff + (uint64_t)i * h->e_phentsize) != (ssize_t)sizeof(p))
			break;
		if (p.p_type == PT_NOTE && is_go_note(fd, &p))
			go = true;
		if (p.p_type != PT_INTERP)
			continue;
		has_interp = true;
		memset(interp, 0, sizeof(interp));
		if (read_at(fd, interp, p.p_filesz < sizeof(interp) ? p.p_filesz : sizeof(interp) - 1, p.p_offset) > 0)
			musl = strstr(interp, "ld-musl") != NULL;
	}
	if (!has_interp) /* the loader itself, given a program to load, preloads as usual */
		return strncmp(base, "ld-linux", 8) == 0 || strcmp(base, "ld.so") == 0 ? ELF_OK : ELF_STATIC;
	return musl ? ELF_MUSL : go ? ELF_GO : ELF_OK;
}

/* Would exec change who we are? Then the loader runs in secure mode. */
static bool is_secure(int fd)
{
	struct statvfs fs;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return false;
	if (fstatvfs(fd, &fs) == 0 && (fs.f_flag & ST_NOSUID))
		return false;
	if ((st.st_mode & S_ISUID) && st.st_uid != geteuid())
		return true;
	if ((st.st_mode & S_ISGID) && (st.st_mode & S_IXGRP) && st.st_gid != getegid())
		return true;
	return geteuid() != 0 && fgetxattr(fd, "security.capability", NULL, 0) > 0;
}

/* The interpreter of a "#!" line; through env(1), the program env would look for. */
static bool interpreter(int fd, char *ret, size_t size_bytes)
{
	char line[512], *save = NULL, *word;
	ssize_t n = read_at(fd, line, sizeof(line) - 1, 0);
	const char *base;

	if (n < 3 || line[0] != '#' || line[1] != '!')
		return false;
	line[n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	word = strtok_r(line + 2, " \t", &save);
	if (!word)
		return false;
	base = strrchr(word, '/');
	if (strcmp(base ? base + 1 : word, "env") == 0) {
		char *arg = strtok_r(NULL, " \t", &save);

		while (arg && (arg[0] == '-' || strchr(arg, '=')))
			arg = strtok_r(NULL, " \t", &save);
		if (arg && elf_find_command(arg, ret, size_bytes) == 0)
			return true;
	}
	return snprintf(ret, size_bytes, "%s", word) < (int)size_bytes;
}

enum elf_reach elf_reach_of(const char *path, char *ret_file, size_t size_bytes)
{
	char next[PATH_MAX];

	snprintf(ret_file, size_bytes, "%s", path);
	for (int i = 0; i < SCRIPTS_MAX; i++) {
		int fd = open(ret_file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		enum elf_reach reach = ELF_OK;
		Elf64_Ehdr h;
		int r;

		if (fd < 0)
			return ELF_OK;
		r = read_header(fd, &h);
		if (r == -ENOEXEC && interpreter(fd, next, sizeof(next))) {
			close(fd);
			snprintf(ret_file, size_bytes, "%s", next);
			continue;
		}
		if (r == -ELIBBAD)
			reach = ELF_FOREIGN;
		else if (r == 0 && is_secure(fd))
			reach = ELF_SECURE;
		else if (r == 0)
			reach = look_at_elf(fd, &h, ret_file);
		close(fd);
		return reach;
	}
	return ELF_OK;
}

int elf_is_our_library(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), r;
	Elf64_Ehdr h;

	if (fd < 0)
		return -errno;
	r = read_header(fd, &h);
	if (r == 0 && h.e_type != ET_DYN)
		r = -ENOEXEC;
	close(fd);
	return r;
}

static int try_file(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return errno == ENOTDIR ? -ENOENT : -errno;
	if (S_ISDIR(st.st_mode))
		return -EACCES;
	return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

/* A folder that may not be entered, or one of the command's name, is not the command. */
static bool is_file(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

int elf_find_command(const char *name, char *ret_path, size_t size_bytes)
{
	const char *path = getenv("PATH");
	int result = -ENOENT;

	if (*name == '\0')
		return -ENOENT;
	if (strchr(name, '/')) {
		if (snprintf(ret_path, size_bytes, "%s", name) >= (int)size_bytes)
			return -ENAMETOOLONG;
		return try_file(name);
	}
	if (!path)
		path = "/bin:/usr/bin"; /* what execvp(3) falls back on */
	for (;;) {
		size_t len = strcspn(path, ":");
		char file[PATH_MAX];

		if (snprintf(file, sizeof(file), "%.*s%s%s", (int)len, path, len ? "/" : "", name) <
		    (int)sizeof(file)) {
			int r = try_file(file);

			if (r == 0 && snprintf(ret_path, size_bytes, "%s", file) < (int)size_bytes)
				return 0;
			if (r == -EACCES && is_file(file))
				result = -EACCES; /* go on looking, as the shell does */
		}
		if (path[len] == '\0')
			return result;
		path += len + 1;
	}
}
