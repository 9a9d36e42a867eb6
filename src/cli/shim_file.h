/* src/cli/shim_file.h: where libberth.so is. */
#ifndef BERTH_CLI_SHIM_FILE_H
#define BERTH_CLI_SHIM_FILE_H

#include "base/base.h"

/* The library beside this executable (build tree), else the installed one; absolute.
 * Return: 0; or a negative errno and in reterr_what one line that says what is wrong. */
MUST_CHECK int shim_file_find(char *ret, size_t size_bytes, char *reterr_what, size_t what_bytes);

#endif
