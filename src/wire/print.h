/* src/wire/print.h: any packet as one line of text, for traces, captures and failed tests.
 *
 *   IP 10.0.0.1:80 > 10.0.0.2:40000: [S.], seq 1, ack 2, win 65535, <mss 1460,sackOK,ts 1/2,wscale 7>, len 0
 *   IP6 [fe80::1] > [ff02::2]: ND router solicitation, <source 02:00:00:00:00:01>
 *   ARP who has 10.0.0.2? tell 10.0.0.1
 *   IP 10.0.0.1 > 10.0.0.2: UDP malformed (7 octets)
 *
 * The text has no line ends and no octets of payload: only printable ASCII, whatever the packet holds. Flags of TCP are S, F, R, P,
 * U, E (ECE), W (CWR), A (AE) and '.' for ACK. Checksums of transports are not judged: they may be left to a device.
 */
#ifndef BERTH_WIRE_PRINT_H
#define BERTH_WIRE_PRINT_H

#include "wire/wire.h"

/* Enough for every line; what does not fit in less is left out from some word on, and "..." stands there. */
#define WIRE_PRINT_MAX 512

/* Both always terminate s if size is not 0, and return s. An Ethernet frame: addresses of its link are printed only with its tag. */
char *wire_print_frame(const uint8_t *data, size_t len_bytes, char *s, size_t size);
/* A bare IP packet of either version. */
char *wire_print_ip(const uint8_t *data, size_t len_bytes, char *s, size_t size);

#endif
