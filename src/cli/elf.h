/* src/cli/elf.h: will the preload library reach this program? Read from the file, before it runs. */
#ifndef BERTH_CLI_ELF_H
#define BERTH_CLI_ELF_H

#include "base/base.h"

enum elf_reach {
	ELF_OK,	     /* the shim will be loaded into it */
	ELF_STATIC,  /* no dynamic loader: nothing can be preloaded */
	ELF_MUSL,    /* another C library's loader */
	ELF_FOREIGN, /* another architecture or word size */
	ELF_GO,	     /* loaded, but its runtime calls the kernel past libc */
	ELF_SECURE,  /* setuid, setgid or file capabilities: the loader drops LD_PRELOAD */
};

/* What a running program of this file would be; follows "#!" lines (interpreters are what runs).
 * Unreadable files and unknown formats are ELF_OK: exec will tell.
 * ret_file: the file that decided (the interpreter of a script). */
enum elf_reach elf_reach_of(const char *path, char *ret_file, size_t size_bytes);

/* Is path a shared object for the architecture berth itself was built for?
 * Return: 0; -ENOENT and others from opening it; -ENOEXEC, not ELF or not a shared object;
 * -ELIBBAD, for another architecture. */
MUST_CHECK int elf_is_our_library(const char *path);

/* Find a command as execvp(3) would. Return: 0 and its path; -ENOENT; -EACCES, found but not executable. */
MUST_CHECK int elf_find_command(const char *name, char *ret_path, size_t size_bytes);

#endif
