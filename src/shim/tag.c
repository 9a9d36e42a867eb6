/* src/shim/tag.c: what a socket is, kept on the socket itself.
 *
 * A process that inherits a descriptor, by fork, exec, dup or SCM_RIGHTS, must find the socket as it
 * is, and no list of descriptors in our memory can know what close_range(2) or a raw system call did.
 * So the state rides on the kernel's socket, in the one 64-bit value that a program may set on any
 * socket and that AF_UNIX does nothing with: SO_MAX_PACING_RATE.
 *
 *     63        52 51        40 39              18 17 15  14  13         0
 *     |  MAGIC   |  host     |  slot             | state | f6 |  flags    |
 *
 * The default is all ones, so MAGIC is not; a real pacing rate would have to exceed 10^19 octets a
 * second to be taken for a tag. One getsockopt() tells whether a descriptor is ours: 0.2 us.
 *
 * Two threads that change one socket's tag at the same moment may lose one of the changes, as the
 * value is read and then written. The claim, which must not be lost, is found again by its owner.
 */
#include "shim/shim.h"

#define MAGIC UINT64_C(0xbe7)
#define SLOT_BITS 22
#define HOST_BITS 12
#define FLAG_BITS 14
static_assert(PORT_TABLE_CLAIMS_MAX <= 1u << SLOT_BITS, "a slot must fit");
static_assert(NETWORK_HOSTS_MAX <= 1u << HOST_BITS, "a host must fit");
static_assert(TAG_UDP < 1 << FLAG_BITS, "the flags must fit");

int tag_get(int fd, struct tag *ret)
{
	uint64_t v = 0;
	socklen_t len = sizeof(v);
	int r = sys_getsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &v, &len);

	if (r < 0)
		return r;
	if (len != sizeof(v) || v >> 52 != MAGIC)
		return -ENOENT;
	ret->host = (uint32_t)(v >> 40) & ((1u << HOST_BITS) - 1);
	ret->slot = (uint32_t)(v >> 18) & ((1u << SLOT_BITS) - 1);
	ret->state = (enum sock_state)((v >> 15) & 7);
	ret->family = (v >> 14) & 1 ? PORT_FAMILY_6 : PORT_FAMILY_4;
	ret->flags = (uint16_t)(v & ((1u << FLAG_BITS) - 1));
	return 0;
}

void tag_set(int fd, const struct tag *t)
{
	uint64_t v = MAGIC << 52 | (uint64_t)t->host << 40 | (uint64_t)t->slot << 18 | (uint64_t)t->state << 15 |
		     (uint64_t)(t->family == PORT_FAMILY_6) << 14 | t->flags;

	/* It cannot fail on a descriptor that tag_get() read; another thread may have closed it since,
	 * and then there is nothing to remember. */
	(void)sys_setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &v, sizeof(v));
}
