/*
 * A client of quotad that keeps many requests under way and takes the time of each.
 *
 *	load SOCKET KIND CONNECTIONS WINDOW SECONDS MAILBOXES [STEP]
 *
 * KIND is get (GET), pairs (RESERVE, and COMMIT once the ticket is there), policy (a
 * request as Postfix's smtpd makes it at RCPT) or map (a look-up of socketmap), each time
 * of another of the mailboxes u0@bench.test, u1@bench.test, and so on, or of every STEPth
 * one. Each connection has WINDOW requests under way. With SECONDS 0 every mailbox has
 * one turn.
 *
 * Prints one line: ns= turns= p50_ns= p99_ns= faults= (answers that are not OK) cpu_ns=
 * (this client's own).
 */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define WINDOW_MAX  64
#define SAMPLES_MAX (1u << 22)
#define PATIENCE_MS 60000

enum kind { GET, PAIRS, POLICY, MAP, KINDS };

static const struct {
	const char *name, *end,
		*good; /* the end of an answer, and what is in a good one */
} kinds[KINDS] = {{"get", "\n", "OK"}, {"pairs", "\n", "OK"},
	{"policy", "\n\n", "action=DUNNO"}, {"map", ",", ":OK "}};

/* What smtpd sends; %s is the mailbox's number. */
static const char policy_request[] =
	"request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\n"
	"client_address=192.0.2.1\nclient_name=mail.sender.test\nclient_port=40000\n"
	"reverse_client_name=mail.sender.test\nserver_address=192.0.2.2\n"
	"server_port=25\nhelo_name=mail.sender.test\nsender=me@sender.test\n"
	"recipient=u%" PRIu64 "@bench.test\nrecipient_count=0\nqueue_id=\n"
	"instance=1a2b.65f0a1b2.%" PRIx64 ".0\nsize=4096\netrn_domain=\nstress=\n"
	"sasl_method=\nsasl_username=\nsasl_sender=\nccert_subject=\nccert_issuer=\n"
	"ccert_fingerprint=\nccert_pubkey_fingerprint=\nencryption_protocol=\n"
	"encryption_cipher=\nencryption_keysize=0\npolicy_context=\n\n";

/* A request under way: when it was sent, and whether its ticket is to be committed. */
struct turn {
	uint64_t sent_ns;
	int reserves;
};

struct connection {
	int fd;
	struct turn turns[WINDOW_MAX]; /* a ring: answers come in order */
	unsigned first, count;
	char in[65536], out[65536];
	size_t filled, length;
};

struct load {
	enum kind kind;
	uint64_t connections, window, mailboxes, step, end_ns;
	uint64_t begun, turns, faults, samples;
	uint64_t under_way;
	int epoll;
	uint64_t *sample;
};

static uint64_t
clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void
put(struct load *l, struct connection *c, int reserves, int length, uint64_t now)
{
	struct turn *t = &c->turns[(c->first + c->count) % WINDOW_MAX];

	c->length += (size_t)length;
	c->count++;
	t->sent_ns = now;
	t->reserves = reserves;
	l->under_way++;
}

/* "mailbox u1@bench.test" as a netstring. */
static int
put_query(char *to, uint64_t mailbox)
{
	char query[64];
	int length = sprintf(query, "mailbox u%" PRIu64 "@bench.test", mailbox);

	return sprintf(to, "%d:%s,", length, query);
}

/* A new turn, if there is one left. */
static void
begin_turn(struct load *l, struct connection *c, uint64_t now)
{
	uint64_t mailbox = l->begun % l->mailboxes * l->step;
	char *to = c->out + c->length;

	if (l->end_ns ? now >= l->end_ns : l->begun == l->mailboxes)
		return;
	if (l->kind == GET)
		put(l, c, 0, sprintf(to, "GET u%" PRIu64 "@bench.test\n", mailbox), now);
	else if (l->kind == POLICY)
		put(l, c, 0, sprintf(to, policy_request, mailbox, l->begun), now);
	else if (l->kind == MAP)
		put(l, c, 0, put_query(to, mailbox), now);
	else
		put(l, c, 1,
			sprintf(to,
				"RESERVE u%" PRIu64 "@bench.test 4096 name=%" PRIu64
				".M%" PRIu64 "P%d.bench,S=4096\n",
				mailbox, now / 1000000000, l->begun, getpid()),
			now);
	l->begun++;
}

static void
take_answer(struct load *l, struct connection *c, const char *line, uint64_t now)
{
	static const char granted[] = "OK ticket=";
	struct turn t = c->turns[c->first];

	if (c->count == 0)
		errx(1, "an answer to nothing: %s", line);
	c->first = (c->first + 1) % WINDOW_MAX;
	c->count--;
	l->under_way--;
	if (l->samples < SAMPLES_MAX)
		l->sample[l->samples++] = now - t.sent_ns;
	if (t.reserves && strncmp(line, granted, sizeof granted - 1) == 0) {
		put(l, c, 0,
			sprintf(c->out + c->length, "COMMIT %s\n",
				line + sizeof granted - 1),
			now);
		return;
	}
	if (l->kind != GET && (t.reserves || strstr(line, kinds[l->kind].good) == NULL)) {
		if (l->faults++ == 0)
			warnx("%s", line);
	}
	l->turns++;
	begin_turn(l, c, now);
}

/* The socket takes what a full window writes: it has room for more. */
static void
flush(struct connection *c)
{
	if (c->length &&
		send(c->fd, c->out, c->length, MSG_NOSIGNAL) != (ssize_t)c->length)
		err(1, "send");
	c->length = 0;
}

static void
take_input(struct load *l, struct connection *c)
{
	ssize_t n = read(c->fd, c->in + c->filled, sizeof c->in - c->filled);
	const char *end = kinds[l->kind].end;
	size_t size = strlen(end);
	char *line = c->in, *stop;
	uint64_t now = clock_ns(CLOCK_MONOTONIC);

	if (n <= 0)
		err(1, "the connection has ended");
	c->filled += (size_t)n;
	while ((stop = memmem(line, (size_t)(c->in + c->filled - line), end, size))) {
		*stop = '\0';
		take_answer(l, c, line, now);
		line = stop + size;
	}
	c->filled = (size_t)(c->in + c->filled - line);
	memmove(c->in, line, c->filled);
	flush(c);
}

static void
open_connection(struct load *l, struct connection *c, const char *path)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};

	if (strlen(path) >= sizeof to.sun_path)
		errx(2, "%s: too long", path);
	strcpy(to.sun_path, path);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to) ||
		epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &e))
		err(1, "%s", path);
}

static void
fill_window(struct load *l, struct connection *c)
{
	for (uint64_t i = 0; i < l->window; i++)
		begin_turn(l, c, clock_ns(CLOCK_MONOTONIC));
	flush(c);
}

static void
run(struct load *l)
{
	struct epoll_event events[64];
	int n;

	while (l->under_way) {
		n = epoll_wait(l->epoll, events, 64, PATIENCE_MS);
		if (n <= 0)
			errx(1, "no answer");
		for (int i = 0; i < n; i++)
			take_input(l, events[i].data.ptr);
	}
}

static int
by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void
report(struct load *l, uint64_t ns)
{
	qsort(l->sample, l->samples, sizeof *l->sample, by_size);
	printf("ns=%" PRIu64 " turns=%" PRIu64 " p50_ns=%" PRIu64 " p99_ns=%" PRIu64
	       " faults=%" PRIu64 " cpu_ns=%" PRIu64 "\n",
		ns, l->turns, l->sample[l->samples / 2],
		l->sample[l->samples - l->samples / 100 - 1], l->faults,
		clock_ns(CLOCK_PROCESS_CPUTIME_ID));
}

static uint64_t
number(const char *text, uint64_t least, uint64_t most)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);

	if (end == text || *end || n < least || n > most)
		errx(2, "%s: not a number from %" PRIu64 " to %" PRIu64, text, least,
			most);
	return n;
}

int
main(int argc, char **argv)
{
	static struct load l;
	struct connection *c;
	uint64_t seconds, began;

	if (argc != 7 && argc != 8)
		errx(2, "usage: load SOCKET get|pairs|policy|map CONNECTIONS WINDOW "
			"SECONDS MAILBOXES [STEP]");
	while (strcmp(kinds[l.kind].name, argv[2]) != 0)
		if (++l.kind == KINDS)
			errx(2, "%s: no such kind", argv[2]);
	l.step = argc == 8 ? number(argv[7], 1, UINT32_MAX) : 1;
	l.connections = number(argv[3], 1, 1000);
	l.window = number(argv[4], 1, WINDOW_MAX);
	seconds = number(argv[5], 0, 3600);
	l.mailboxes = number(argv[6], 1, UINT32_MAX);
	c = calloc(l.connections, sizeof *c);
	l.sample = calloc(SAMPLES_MAX, sizeof *l.sample);
	l.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!c || !l.sample || l.epoll < 0)
		err(1, "no memory");
	for (uint64_t i = 0; i < l.connections; i++)
		open_connection(&l, &c[i], argv[1]);
	began = clock_ns(CLOCK_MONOTONIC);
	l.end_ns = seconds ? began + seconds * 1000000000 : 0;
	for (uint64_t i = 0; i < l.connections; i++)
		fill_window(&l, &c[i]);
	run(&l);
	report(&l, clock_ns(CLOCK_MONOTONIC) - began);
	return 0;
}
