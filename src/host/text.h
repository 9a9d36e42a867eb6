/* src/host/text.h: sockets as /proc/net lists them. Between the files of host/ and its tests. */
#ifndef BERTH_HOST_TEXT_H
#define BERTH_HOST_TEXT_H

#include "host/socket.h"

/* One line of /proc/net/{tcp,tcp6,udp,udp6,raw,raw6}. Return: 0; -EBADMSG, the title, or no sense. */
MUST_CHECK int host_text_parse(const char *line, enum host_proto proto, enum port_family family,
			       struct host_socket *ret);
/* A file's sockets that f asks for. Return: 0; negative errno; the sink's answer in *ret_stop. */
MUST_CHECK int host_text_read(const struct host_root *root, enum host_proto proto, enum port_family family,
			      const struct host_filter *f, const struct host_sink *sink, struct host_notes *notes,
			      int *ret_stop);

#endif
