/* Events: records "CHANGED path= folder=" and "OVERFLOW", one a packet. */
#include "events.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "record.h"

#define CHANGED  "CHANGED"
#define OVERFLOW "OVERFLOW"

/* --- sending ---------------------------------------------------------------------- */

/* Half of the socket's room is kept free, since the overflow must fit behind an event of
 * any length. */
static int
is_full(struct events_sender *to)
{
	int queued = 0, room = 0;
	socklen_t size = sizeof room;

	if (ioctl(to->socket, SIOCOUTQ, &queued) == -1 ||
		getsockopt(to->socket, SOL_SOCKET, SO_SNDBUF, &room, &size) == -1)
		return 1;
	if (queued == 0) {
		to->on_their_way = 0;
		to->overflowed = 0;
	}
	return to->overflowed || to->on_their_way >= EVENTS_MAX || queued > room / 2;
}

static int
send_packet(struct events_sender *to, const char *packet)
{
	ssize_t n;

	do
		n = send(to->socket, packet, strlen(packet), MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n == -1 && errno == EINTR);
	return n == -1 ? -1 : 0;
}

static int
send_overflow(struct events_sender *to)
{
	if (to->overflowed)
		return 0;
	to->overflowed = 1;
	return send_packet(to, OVERFLOW);
}

static char *
write_event(const struct scanner_event *event)
{
	struct record r = {0};
	char *packet = NULL;

	if (record_set_key(&r, CHANGED) == 0 &&
		record_set(&r, "path", event->path) == 0 &&
		record_set(&r, "folder", event->folder) == 0)
		packet = record_format(&r);
	record_clear(&r);
	if (packet && strlen(packet) <= RECORD_LINE_MAX)
		return packet;
	free(packet);
	return NULL;
}

/* An event that can't be written is lost, which is what an overflow says. */
int
events_send(struct events_sender *to, const struct scanner_event *event)
{
	char *packet;
	int result;

	if (is_full(to) || event->kind == SCANNER_OVERFLOW)
		return send_overflow(to);
	packet = write_event(event);
	if (!packet)
		return send_overflow(to);
	to->on_their_way++;
	result = send_packet(to, packet);
	free(packet);
	return result;
}

/* --- receiving -------------------------------------------------------------------- */

/* Reads a packet of that length; what EVENT points to belongs to the record. */
static int
read_event(
	const char *packet, size_t length, struct record *r, struct scanner_event *event)
{
	if (length > RECORD_LINE_MAX || record_parse(r, packet, length, 1, NULL))
		return -1;
	*event = (struct scanner_event){
		.kind = SCANNER_FOLDER_CHANGED,
		.path = record_get(r, "path"),
		.folder = record_get(r, "folder"),
	};
	if (strcmp(r->key, CHANGED) == 0)
		return event->path && event->folder ? 0 : -1;
	*event = (struct scanner_event){.kind = SCANNER_OVERFLOW};
	return strcmp(r->key, OVERFLOW) == 0 ? 0 : -1;
}

static enum events_left
receive_one(
	int socket, void (*each)(void *arg, const struct scanner_event *event), void *arg)
{
	char packet[RECORD_LINE_MAX + 1];
	ssize_t n = recv(socket, packet, sizeof packet, MSG_DONTWAIT);
	struct scanner_event event;
	struct record r = {0};
	int bad;

	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return EVENTS_NONE;
	if (n <= 0)
		return EVENTS_CLOSED;
	bad = read_event(packet, (size_t)n, &r, &event);
	if (!bad)
		each(arg, &event);
	record_clear(&r);
	return bad ? EVENTS_NONSENSE : EVENTS_MORE;
}

enum events_left
events_receive(
	int socket, void (*each)(void *arg, const struct scanner_event *event), void *arg)
{
	enum events_left left = EVENTS_MORE;
	char byte;

	for (int i = 0; i < EVENTS_MAX + 1 && left == EVENTS_MORE; i++)
		left = receive_one(socket, each, arg);
	if (left == EVENTS_MORE &&
		recv(socket, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == -1 && errno == EAGAIN)
		left = EVENTS_NONE;
	return left;
}
