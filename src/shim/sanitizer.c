/* src/shim/sanitizer.c: programs built with AddressSanitizer run with us in front of its library.
 *
 * libasan ends a program whose first library it is not, because malloc of somebody in front of it would
 * not be seen. We define nothing that it watches and call the next library's version of what we do define,
 * so nothing is lost. It asks a function for default options before it reads ASAN_OPTIONS, which still
 * win; this is that function. A program that defines it itself keeps its own, and then needs
 * verify_asan_link_order=0 there or in ASAN_OPTIONS.
 */
#include "shim/shim.h"

EXPORT(const char *, __asan_default_options, (void))
{
	return "verify_asan_link_order=0";
}
