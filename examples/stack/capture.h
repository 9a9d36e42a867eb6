/* examples/stack/capture.h: what passes between a stack and a device, in a file that wireshark and tcpdump read (pcap, nanoseconds).
 *
 * For devices that tcpdump cannot look at, and for a report. A super-frame is written as what it is: one large packet.
 */
#ifndef EXAMPLES_STACK_CAPTURE_H
#define EXAMPLES_STACK_CAPTURE_H

#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <berth/stack.h>

enum { CAPTURE_ETHERNET = 1, CAPTURE_IP = 101 }; /* pcap's LINKTYPE_ETHERNET, LINKTYPE_RAW */

/* NULL: it cannot be written. Close it with fclose(). */
static inline FILE *capture_open(const char *path, enum berth_link link)
{
	uint32_t head[6] = {0xa1b23c4d, 2 | 4 << 16, 0,
			    0,		1 << 17,     link == BERTH_LINK_IP ? CAPTURE_IP : CAPTURE_ETHERNET};
	FILE *f = fopen(path, "wb");

	if (f != NULL)
		fwrite(head, sizeof(head), 1, f);
	return f;
}

static inline void capture(FILE *f, const uint8_t *head, uint32_t head_len, const struct berth_part *parts,
			   unsigned n_parts)
{
	uint32_t record[4], len = head_len;
	struct timespec ts;

	if (f == NULL)
		return;
	for (unsigned i = 0; i < n_parts; i++)
		len += parts[i].len;
	clock_gettime(CLOCK_REALTIME, &ts);
	record[0] = (uint32_t)ts.tv_sec;
	record[1] = (uint32_t)ts.tv_nsec;
	record[2] = record[3] = len;
	fwrite(record, sizeof(record), 1, f);
	fwrite(head, head_len, 1, f);
	for (unsigned i = 0; i < n_parts; i++)
		fwrite(parts[i].data, parts[i].len, 1, f);
	fflush(f); /* a program that is stopped leaves it whole */
}

#endif
