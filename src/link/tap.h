/* src/link/tap.h: a TAP or TUN of Linux as a stack's device: super-frames and checksums pass through it by virtio's header.
 *
 * The only file of link/ that calls the system. One struct tap is one queue, one thread's at a time.
 */
#ifndef BERTH_LINK_TAP_H
#define BERTH_LINK_TAP_H

#include "link/frame.h"

#define TAP_NAME_MAX 16
#define TAP_BUFFERS 16 /* frames that one tap_read() can hand out */

/* virtio's header, as IFF_VNET_HDR puts it before each frame. Native byte order. */
struct tap_header {
	uint8_t flags, gso;
	uint16_t hdr_len, gso_size, csum_start, csum_offset;
};
_Static_assert(sizeof(struct tap_header) == 10, "struct virtio_net_hdr");

enum { TAP_OFFLOAD = 1 }; /* tell the kernel that we take checksums and super-frames, and give it ours */

struct tap {
	int fd;
	enum berth_link link;
	char name[TAP_NAME_MAX];
	bool uso;     /* the kernel takes UDP super-frames, too (Linux 6.2) */
	bool gso_off; /* it refused so many that none is tried any more */
	uint32_t n_refused_in_row;
	uint64_t n_resegmented; /* super-frames that were refused (EINVAL) and sent in pieces */
	uint64_t n_bad_header;	/* frames of the kernel's whose virtio header does not fit them */
	uint64_t n_write_failed;
	struct link_frames frames;
	uint8_t *buffers;
};

/**
 * tap_open() - attach to a device, or make it
 * @name:  "" lets the kernel choose
 * @flags: TAP_
 *
 * Return: 0; -ENAMETOOLONG; -EPERM; -ENODEV, no /dev/net/tun; -ENOMEM; what ioctl(2) says.
 */
MUST_CHECK int tap_open(const char *name, enum berth_link link, unsigned flags, struct tap *ret);
/* Around a descriptor that is such a device already (or, in tests, anything that keeps frames apart). Owns fd from then on. */
MUST_CHECK int tap_from_fd(int fd, enum berth_link link, struct tap *ret);
void tap_close(struct tap *t);

/* Write n frames; returns how many the device took, or -EAGAIN when it took none for now. A frame it refuses for good is counted and
 * passed over; a super-frame it refuses (EINVAL: S28, tailscale#13041) is sent in pieces. */
int tap_write(struct tap *t, const struct berth_tx *v, unsigned n);
/* At most n (TAP_BUFFERS) frames that are there, without waiting; returns how many, or -EAGAIN or another error when there are none.
 * Good until the next tap_read(). Frames whose header does not fit are dropped and counted. */
int tap_read(struct tap *t, uint16_t iface, struct berth_rx *v, unsigned n);

/* The header for a frame: all of it is written (S28: nothing stale). */
void tap_header_from(const struct berth_tx *tx, struct tap_header *ret);
/* Believe a header as far as the frame itself bears it out (S28). Return: 0 and *ret; -EBADMSG. */
MUST_CHECK int tap_header_check(const struct tap_header *h, const uint8_t *data, uint32_t len, enum berth_link link,
				uint16_t iface, struct berth_rx *ret);

#endif
