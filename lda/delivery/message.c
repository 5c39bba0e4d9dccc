/* Standard input, its top, and the headers that delivery adds. */
#include "message.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void
message_init(struct message *m, int input)
{
	m->input = input;
	m->ended = m->top_read = 0;
	m->has_return_path = m->has_delivered_to = 0;
	m->delivered_to[0] = '\0';
	m->start = m->end = MESSAGE_ROOM;
}

/* As read, but waits on a descriptor that its last owner left non-blocking. */
static ssize_t
read_input(int fd, char *to, size_t size)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	ssize_t n;

	while ((n = read(fd, to, size)) < 0) {
		if (errno == EAGAIN) {
			if (poll(&p, 1, -1) < 0 && errno != EINTR)
				return -1;
		} else if (errno != EINTR) {
			return -1;
		}
	}
	return n;
}

/* Reads more behind what is in the buffer. */
static int
fill(struct message *m, struct outcome *o)
{
	ssize_t n = read_input(m->input, m->buffer + m->end, sizeof m->buffer - m->end);

	if (n < 0) {
		outcome_set(o, VERDICT_TROUBLE, "the message can't be read: %s",
			strerror(errno));
		return -1;
	}
	m->ended = n == 0;
	m->end += (size_t)n;
	return 0;
}

/* --- the top --------------------------------------------------------------------- */

/* Takes the value of the MTA's Delivered-To:, which is quoted where it must be. */
static void
take_delivered_to(struct message *m, const char *value, size_t length)
{
	int quoted = length && *value == '"';
	char *to = m->delivered_to;

	if (m->has_delivered_to++ || length > ADDRESS_LONG)
		return;
	for (size_t i = quoted ? 1 : 0; i < length; i++) {
		if (quoted && value[i] == '"') {
			quoted = 0;
			continue;
		}
		if (quoted && value[i] == '\\' && i + 1 < length)
			i++;
		*to++ = value[i];
	}
	*to = '\0';
}

static void
take_return_path(struct message *m, const char *value, size_t length)
{
	(void)value;
	(void)length;
	m->has_return_path = 1;
}

static void
pass(struct message *m, const char *value, size_t length)
{
	(void)m;
	(void)value;
	(void)length;
}

/* What MTAs put on top at delivery. */
static const struct {
	const char *name;
	void (*take)(struct message *m, const char *value, size_t length);
} trace[] = {
	{"Return-Path:", take_return_path},
	{"Delivered-To:", take_delivered_to},
	{"X-Original-To:", pass},
	{"Envelope-To:", pass},
	{"Delivery-Date:", pass},
};

#define TRACE (sizeof trace / sizeof *trace)

/* Takes one whole line; 0 where it doesn't belong to the run. */
static int
take_line(struct message *m, const char *line, size_t length)
{
	size_t name;

	if (length && (*line == ' ' || *line == '\t'))
		return 1;
	for (size_t i = 0; i < TRACE; i++) {
		name = strlen(trace[i].name);
		if (length < name || strncasecmp(line, trace[i].name, name))
			continue;
		for (; name < length && (line[name] == ' ' || line[name] == '\t');)
			name++;
		while (length > name &&
			(line[length - 1] == '\r' || line[length - 1] == ' '))
			length--;
		trace[i].take(m, line + name, length - name);
		return 1;
	}
	return 0;
}

/* Looks at what has been read: 1 if the run has been seen to its end. Begins anew each
 * time, since the top nearly always comes in one piece. */
static int
scan_top(struct message *m)
{
	const char *line = m->buffer + m->start, *end = m->buffer + m->end, *stop;

	m->has_return_path = m->has_delivered_to = 0;
	m->delivered_to[0] = '\0';
	for (; (stop = memchr(line, '\n', (size_t)(end - line))); line = stop + 1)
		if (!take_line(m, line, (size_t)(stop - line)))
			return 1;
	return m->ended || m->end == sizeof m->buffer;
}

/* Whether the input begins with a whole mbox line: its length, 0 if not, -1 if more has
 * to be read to know. */
static ssize_t
find_from_line(const struct message *m)
{
	static const char from[] = "From ";
	const char *line = m->buffer + m->start, *stop;
	size_t length = m->end - m->start, known = sizeof from - 1;

	if (memcmp(line, from, length < known ? length : known))
		return 0;
	stop = length < known ? NULL : memchr(line, '\n', length);
	if (stop)
		return stop - line + 1;
	return m->ended || m->end == sizeof m->buffer ? 0 : -1;
}

int
message_read_top(struct message *m, struct outcome *o)
{
	ssize_t from;

	if (m->top_read)
		return 0;
	while ((from = find_from_line(m)) < 0)
		if (fill(m, o))
			return -1;
	m->start += (size_t)from;
	while (!scan_top(m))
		if (fill(m, o))
			return -1;
	m->top_read = 1;
	return 0;
}

/* --- the headers that are missing ------------------------------------------------ */

/* A dot-atom (RFC 5322 section 3.2.3): no dot is first, last, or behind another. Bytes
 * outside ASCII are letters like others (RFC 6532). */
static int
is_dot_atom(const char *text, size_t length)
{
	int may_dot = 0;

	for (size_t i = 0; i < length; i++) {
		if (text[i] == '.' ? !may_dot
				   : strchr(" \"(),:;<>@[\\]", text[i]) != NULL)
			return 0;
		may_dot = text[i] != '.';
	}
	return may_dot;
}

/* A quoted-string: none of its quotes but the first and last stands without a backslash.
 */
static int
is_quoted_string(const char *text, size_t length)
{
	if (length < 2 || text[0] != '"' || text[length - 1] != '"')
		return 0;
	for (size_t i = 1; i < length - 1; i++) {
		if (text[i] == '"' || (text[i] == '\\' && ++i == length - 1))
			return 0;
	}
	return 1;
}

/* Nothing that would end the address, or begin another; in brackets are colons, too (RFC
 * 5321 section 4.1.3). */
static int
is_domain(const char *text)
{
	const size_t length = strlen(text);

	if (length > 2 && text[0] == '[' && text[length - 1] == ']')
		return strcspn(text + 1, " \"(),;<>@[\\]") == length - 2;
	return text[0] && !text[strcspn(text, " \"(),:;<>@\\")];
}

/* What no domain can be is part of the local part: that alone can be quoted. A control
 * byte becomes '_', or it could end the header. */
static char *
put_address(char *to, const char *address)
{
	const char *at = address_domain_key(address);
	size_t local = at && is_domain(at + 1) ? (size_t)(at - address) : strlen(address);
	int quotes = !is_dot_atom(address, local) && !is_quoted_string(address, local);

	if (quotes)
		*to++ = '"';
	for (size_t i = 0; address[i]; i++) {
		if (quotes && i == local)
			*to++ = '"';
		if (quotes && i < local && (address[i] == '"' || address[i] == '\\'))
			*to++ = '\\';
		*to++ = (unsigned char)address[i] < ' ' || address[i] == 0x7f
				? '_'
				: address[i];
	}
	if (quotes && !address[local])
		*to++ = '"';
	*to = '\0';
	return to;
}

/* Whether both are one address. */
static int
is_same(const char *a, const char *b)
{
	char keys[2][ADDRESS_MAX + 1];

	if (strcmp(a, b) == 0)
		return 1;
	return address_key(keys[0], a, NULL) == 0 && address_key(keys[1], b, NULL) == 0 &&
	       strcmp(keys[0], keys[1]) == 0;
}

/* Puts the missing headers right before the message. They are put together a little
 * before that, as far as they take with a backslash before each byte: another page costs
 * a fresh process time. */
static void
add_headers(struct message *m, const char *sender, const char *recipient)
{
	const size_t from = strlen(sender), whom = strlen(recipient);
	const size_t room = 64 + 2 * (from <= ADDRESS_LONG ? from : 0) +
			    2 * (whom <= ADDRESS_LONG ? whom : 0);
	char *headers = m->buffer + m->start - room, *to = headers;

	_Static_assert(4 * ADDRESS_LONG + 64 < MESSAGE_ROOM, "two headers fit");
	if (!m->has_return_path && from <= ADDRESS_LONG) {
		to = stpcpy(to, "Return-Path: <");
		to = *sender ? put_address(to, sender) : to;
		to = stpcpy(to, ">\n");
	}
	if (whom <= ADDRESS_LONG && !is_same(m->delivered_to, recipient)) {
		to = put_address(stpcpy(to, "Delivered-To: "), recipient);
		*to++ = '\n';
	}
	m->start -= (size_t)(to - headers);
	memmove(m->buffer + m->start, headers, (size_t)(to - headers));
}

int
message_begin(
	struct message *m, const char *sender, const char *recipient, struct outcome *o)
{
	if (message_read_top(m, o))
		return -1;
	while (!m->ended && m->end < sizeof m->buffer)
		if (fill(m, o))
			return -1;
	add_headers(m, sender, recipient);
	return 0;
}

size_t
message_look(struct message *m, const char **data)
{
	struct outcome unread;

	while (!m->ended && m->end < sizeof m->buffer && fill(m, &unread) == 0)
		continue;
	*data = m->buffer + m->start;
	return m->end - m->start;
}

size_t
message_size(const struct message *m)
{
	return m->ended ? m->end - m->start : 0;
}

int
message_next(struct message *m, const char **data, size_t *length, struct outcome *o)
{
	if (m->start == m->end) {
		m->start = m->end = MESSAGE_ROOM;
		if (!m->ended && fill(m, o))
			return -1;
	}
	*data = m->buffer + m->start;
	*length = m->end - m->start;
	m->start = m->end;
	return *length > 0;
}

uint64_t
message_drain(struct message *m)
{
	uint64_t bytes = m->end - m->start;
	ssize_t n;

	while (!m->ended) {
		n = read_input(m->input, m->buffer, sizeof m->buffer);
		m->ended = n <= 0;
		bytes += n > 0 ? (uint64_t)n : 0;
	}
	return bytes;
}
