/* src/stack/version.c: public structures of programs that were compiled with another version of the header.
 *
 * Such a structure begins with its own size (uint32_t struct_size), and versions differ only by fields at the end, whose 0 is what was
 * before they came. So is the shorter one a beginning of the longer one, as with the kernel's copy_struct_from_user().
 */
#include "stack/stack.h"

#include <errno.h>
#include <string.h>

int struct_in(void *own, size_t own_bytes, size_t first_bytes, const void *theirs)
{
	uint32_t size;

	memcpy(&size, theirs, sizeof(size));
	if (size < first_bytes)
		return -EINVAL;
	for (size_t i = own_bytes; i < size; i++)
		if (((const uint8_t *)theirs)[i] != 0)
			return -E2BIG;
	memset(own, 0, own_bytes);
	memcpy(own, theirs, size < own_bytes ? size : own_bytes);
	return 0;
}

int struct_out(void *theirs, const void *own, size_t own_bytes, size_t first_bytes)
{
	uint32_t size;

	memcpy(&size, theirs, sizeof(size));
	if (size < first_bytes)
		return -EINVAL;
	memcpy(theirs, own, size < own_bytes ? size : own_bytes);
	memcpy(theirs, &size, sizeof(size));
	if (size > own_bytes)
		memset((uint8_t *)theirs + own_bytes, 0, size - own_bytes);
	return 0;
}
