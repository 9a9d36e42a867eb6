/* src/link/tap.c: a TAP or TUN with virtio headers.
 *
 *	writev( | virtio header | head | part | part | )	read() -> | virtio header | frame |
 *
 * What the kernel says in a header is checked against the frame before the stack hears of it: checksum offsets must be the
 * transport's own, a super-frame must be of the protocol its type names, and its segments must fit. A kernel that says EINVAL to a
 * super-frame (some do for some sizes) gets the pieces; after 8 refusals in a row no more are tried.
 */
#include "link/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "link/segment.h"
#include "wire/checksum.h"

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif
#define REFUSED_MAX 8
#define BUFFER_BYTES ((sizeof(struct tap_header) + LINK_FRAME_MAX + 63) & ~(size_t)63)

int tap_from_fd(int fd, enum berth_link link, struct tap *ret)
{
	uint8_t *buffers = malloc(TAP_BUFFERS * BUFFER_BYTES);

	if (!buffers)
		return -ENOMEM;
	*ret = (struct tap){.fd = fd, .link = link, .buffers = buffers};
	return 0;
}

static int offload(int fd, bool *ret_uso)
{
	unsigned want = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;

	*ret_uso = ioctl(fd, TUNSETOFFLOAD, (unsigned long)(want | TUN_F_USO4 | TUN_F_USO6)) == 0;
	if (*ret_uso)
		return 0;
	return ioctl(fd, TUNSETOFFLOAD, (unsigned long)want) < 0 ? -errno : 0;
}

int tap_open(const char *name, enum berth_link link, unsigned flags, struct tap *ret)
{
	struct ifreq ifr = {0};
	int fd, r, size = sizeof(struct tap_header);
	bool uso = false;

	if (strlen(name) >= sizeof(ifr.ifr_name))
		return -ENAMETOOLONG;
	memcpy(ifr.ifr_name, name, strlen(name));
	ifr.ifr_flags = (short)((link == BERTH_LINK_ETHERNET ? IFF_TAP : IFF_TUN) | IFF_NO_PI | IFF_VNET_HDR);
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ENODEV : -errno;
	r = ioctl(fd, TUNSETIFF, &ifr) < 0 ? -errno : 0;
	if (r < 0)
		goto fail;
	r = ioctl(fd, TUNSETVNETHDRSZ, &size) < 0 ? -errno : 0;
	if (r < 0)
		goto fail;
	r = flags & TAP_OFFLOAD ? offload(fd, &uso) : ioctl(fd, TUNSETOFFLOAD, 0UL) < 0 ? -errno : 0;
	if (r < 0)
		goto fail;
	r = tap_from_fd(fd, link, ret);
	if (r < 0)
		goto fail;
	ret->uso = uso;
	memcpy(ret->name, ifr.ifr_name, sizeof(ret->name));
	return 0;
fail:
	close(fd);
	return r;
}

void tap_close(struct tap *t)
{
	close(t->fd);
	free(t->buffers);
	link_frames_fini(&t->frames);
	t->fd = -1;
	t->buffers = NULL;
}

void tap_header_from(const struct berth_tx *tx, struct tap_header *ret)
{
	struct tap_header h = {0};

	if (tx->flags & BERTH_F_NEEDS_CSUM) {
		h.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		h.csum_start = tx->csum_start;
		h.csum_offset = tx->csum_offset;
	}
	if (tx->gso != BERTH_GSO_NONE) {
		h.gso = (uint8_t)(tx->gso | (tx->flags & BERTH_F_GSO_ECN ? VIRTIO_NET_HDR_GSO_ECN : 0));
		h.gso_size = tx->gso_size;
		h.hdr_len = tx->hdr_len;
	}
	*ret = h;
}

/* A super-frame as its type says, of segments that fit it. */
static bool gso_is_sound(uint8_t gso, uint16_t gso_size, const struct link_view *v)
{
	if (gso_size == 0 || v->family == 0 || v->fragment || v->has_options)
		return false;
	switch (gso) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return v->has_tcp && v->family == (gso == VIRTIO_NET_HDR_GSO_TCPV4 ? 4 : 6);
	case BERTH_GSO_UDP:
		return v->proto == WIRE_PROTO_UDP && v->ip_len - (v->l4_at - v->ip_at) > 8;
	default:
		return false;
	}
}

int tap_header_check(const struct tap_header *h, const uint8_t *data, uint32_t len, enum berth_link link,
		     uint16_t iface, struct berth_rx *ret)
{
	struct berth_rx r = {.head = data, .head_len = len, .iface = iface};
	uint8_t gso = h->gso & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
	struct link_view v = {0};
	bool known = link_view(data, len, link, &v) == 0;

	if (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		int offset = known && v.family && !v.fragment ? wire_checksum_offset(v.proto) : -1;

		if (offset < 0 || h->csum_start != v.l4_at || h->csum_offset != offset ||
		    (uint32_t)h->csum_start + h->csum_offset + 2 > v.ip_at + v.ip_len)
			return -EBADMSG;
		r.flags |= BERTH_F_NEEDS_CSUM;
		r.csum_start = h->csum_start;
		r.csum_offset = h->csum_offset;
	} else if (h->flags & VIRTIO_NET_HDR_F_DATA_VALID) {
		r.flags |= BERTH_F_DATA_VALID;
	}
	if (gso != VIRTIO_NET_HDR_GSO_NONE) {
		if (!known || !gso_is_sound(gso, h->gso_size, &v))
			return -EBADMSG;
		r.gso = gso;
		r.gso_size = h->gso_size;
		if (h->gso & VIRTIO_NET_HDR_GSO_ECN)
			r.flags |= BERTH_F_GSO_ECN;
	}
	*ret = r;
	return 0;
}

static int write_one(const struct tap *t, const struct tap_header *h, const struct berth_part *parts, unsigned n)
{
	struct tap_header header = *h;
	struct iovec v[2 + BERTH_TX_PARTS_MAX];

	ASSERT(n <= 1 + BERTH_TX_PARTS_MAX);
	v[0] = (struct iovec){&header, sizeof(header)};
	for (unsigned i = 0; i < n; i++)
		v[1 + i] = (struct iovec){(void *)(uintptr_t)parts[i].data, parts[i].len};
	return writev(t->fd, v, (int)n + 1) < 0 ? -errno : 0;
}

static int write_pieces(struct tap *t, const struct berth_tx *tx)
{
	struct link_frame *whole = link_frame_from(&t->frames, tx, t->link), *one;
	struct link_segments s;
	int r = 0;

	if (!whole)
		return -ENOMEM;
	r = link_segments_init(&s, whole);
	while (r == 0 && (one = link_segments_next(&s, &t->frames))) {
		const struct berth_part part = {one->data, one->len};

		r = write_one(t, &(struct tap_header){0}, &part, 1);
		link_frame_free(&t->frames, one);
		if (r == -EAGAIN && s.n > 1)
			r = 0; /* the rest of it is lost, as on a full queue: TCP's affair */
	}
	link_frame_free(&t->frames, whole);
	return r;
}

static int write_frame(struct tap *t, const struct berth_tx *tx)
{
	struct berth_part parts[1 + BERTH_TX_PARTS_MAX] = {{tx->head, tx->head_len}};
	struct tap_header h;
	int r = -EINVAL;

	if (tx->gso == BERTH_GSO_NONE || !t->gso_off) {
		tap_header_from(tx, &h);
		memcpy(parts + 1, tx->parts, tx->n_parts * sizeof(parts[0]));
		r = write_one(t, &h, parts, 1u + tx->n_parts);
	}
	if (r != -EINVAL || tx->gso == BERTH_GSO_NONE) {
		if (r == 0 && tx->gso != BERTH_GSO_NONE)
			t->n_refused_in_row = 0;
		return r;
	}
	t->n_resegmented++;
	if (!t->gso_off && ++t->n_refused_in_row >= REFUSED_MAX)
		t->gso_off = true;
	return write_pieces(t, tx);
}

int tap_write(struct tap *t, const struct berth_tx *v, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		int r = write_frame(t, &v[i]);

		if (r == -EAGAIN || r == -EINTR)
			return i ? (int)i : -EAGAIN;
		if (r < 0)
			t->n_write_failed++;
	}
	return (int)n;
}

int tap_read(struct tap *t, uint16_t iface, struct berth_rx *v, unsigned n)
{
	unsigned taken = 0;

	if (n > TAP_BUFFERS)
		n = TAP_BUFFERS;
	while (taken < n) {
		uint8_t *buffer = t->buffers + taken * BUFFER_BYTES;
		struct tap_header h;
		ssize_t len = read(t->fd, buffer, BUFFER_BYTES);

		if (len < 0)
			return taken ? (int)taken : -errno;
		if (len == 0)
			return taken ? (int)taken : -EAGAIN;
		if ((size_t)len < sizeof(h)) {
			t->n_bad_header++;
			continue;
		}
		memcpy(&h, buffer, sizeof(h));
		if (tap_header_check(&h, buffer + sizeof(h), (uint32_t)((size_t)len - sizeof(h)), t->link, iface,
				     &v[taken]) < 0)
			t->n_bad_header++;
		else
			taken++;
	}
	return (int)taken;
}
