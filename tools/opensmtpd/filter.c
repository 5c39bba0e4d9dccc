/*
 * filter-brim: OpenSMTPD asks at RCPT what a delivery would say. smtpd starts it and
 * writes it a line an event; it answers "proceed", or quotad's refusal as the reply.
 *
 * smtpd waits for each answer, never ends a session whose filter is silent, and ends when
 * its filter ends, or names a session or token that is no number: so every question is
 * answered, this process ends only when smtpd does, and a line that can't be understood
 * is logged and skipped, or answered where its session and token can be read. Each
 * recipient is asked about in a thread of its own, since quotad may have to count a
 * mailbox first. A quotad that can't be asked, or says ERR, refuses nobody: the recipient
 * is taken (the delivery then waits), or deferred with -d.
 *
 * The protocol is smtpd-filters(7), of OpenSMTPD 6.7 (0.5) on.
 */
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sysexits.h>
#include <unistd.h>

#include "clock.h"
#include "conf.h"
#include "quota_client.h"
#include "record.h"

#define QUESTIONS_MAX 64          /* open at once; the next waits for one to end */
#define SESSIONS_MAX  10000       /* the one that wrote longest ago is forgotten */
#define LINE_BYTES    (128 << 10) /* a command has up to 64 KiB (SMTP_LINE_MAX) */
#define SHOWN_BYTES   100         /* of a line that can't be understood, in the log */

/* What smtpd told of a client's session. */
struct session {
	TAILQ_ENTRY(session) all;
	char *id;
	char *sender; /* NULL before MAIL */
	char *login;  /* NULL before AUTH */
};

static TAILQ_HEAD(session_list, session) sessions = TAILQ_HEAD_INITIALIZER(sessions);
static size_t session_count;

/* A line of smtpd's: KIND|VERSION|TIME|SUBSYSTEM|NAME|SESSION|REST */
struct event {
	const char *kind, *version, *time, *subsystem, *name, *session;
	char *rest; /* NULL without it */
	int is_whole;
};

/* One recipient, for the thread that asks about it. */
struct question {
	char *session, *token;
	char *request;
};

enum told { TOLD, ERROR, NOTHING };

static struct {
	struct conf conf;
	int has_conf;
	const char *otherwise; /* the result where quotad does not tell */
	sem_t free_slots;
	pthread_mutex_t mutex; /* of what follows, and of both outputs */
	int is_down;
	uint64_t down_until_ms; /* nobody waits for quotad before that */
} filter = {.otherwise = "proceed", .mutex = PTHREAD_MUTEX_INITIALIZER};

/* --- answers ---------------------------------------------------------------------- */

static void
answer(const char *session, const char *token, const char *result, const char *reply)
{
	pthread_mutex_lock(&filter.mutex);
	dprintf(STDOUT_FILENO, "filter-result|%s|%s|%s%s\n", session, token, result,
		reply);
	pthread_mutex_unlock(&filter.mutex);
}

/* Keeps whether quotad told, and says so once; smtpd logs standard error. After a long
 * wait in vain nobody waits for as long; an error is about one question. */
static void
keep_state(enum told told, uint64_t since_ms, const char *why)
{
	uint64_t now = clock_now_ms();
	int is_down = told != TOLD;

	pthread_mutex_lock(&filter.mutex);
	if (told == NOTHING)
		filter.down_until_ms = now + (now - since_ms);
	if (is_down != filter.is_down)
		dprintf(STDERR_FILENO,
			is_down ? "quotad does not tell: %s\n" : "quotad tells again%s\n",
			is_down ? why : "");
	filter.is_down = is_down;
	pthread_mutex_unlock(&filter.mutex);
}

static int
is_worth_asking(void)
{
	int is_worth;

	pthread_mutex_lock(&filter.mutex);
	is_worth = filter.has_conf && clock_now_ms() >= filter.down_until_ms;
	pthread_mutex_unlock(&filter.mutex);
	return is_worth;
}

/* --- a question ------------------------------------------------------------------- */

static void
question_free(struct question *q)
{
	free(q->session);
	free(q->token);
	free(q->request);
	free(q);
}

/* The reply in "NO full 552 5.2.2 the mailbox is full"; NULL where there is none. */
static const char *
find_reply(const char *line)
{
	const char *reply = strncmp(line, "NO ", 3) == 0 ? strchr(line + 3, ' ') : NULL;

	if (reply == NULL || (reply[1] != '4' && reply[1] != '5') ||
		strspn(reply + 1, "0123456789") != 3 || reply[4] != ' ')
		return NULL;
	return reply + 1;
}

/* Asks, and answers smtpd if quotad told; else there is a reason. */
static enum told
ask_quotad(const struct question *q, struct quota_client *quotad, struct reason *why)
{
	const struct conf *c = &filter.conf;
	const char *line = NULL;

	if (quota_connect(quotad, c->socket, c->daemon_user, c->quotad_timeout, why) ==
			0 &&
		quota_send(quotad, why, "%s", q->request) == 0)
		line = quota_receive_line(quotad, why);
	if (line == NULL)
		return NOTHING;
	if (strncmp(line, "OK", 2) == 0) {
		answer(q->session, q->token, "proceed", "");
		return TOLD;
	}
	if (find_reply(line) != NULL) {
		answer(q->session, q->token, "reject|", find_reply(line));
		return TOLD;
	}
	reason_set(why, "%s", line);
	return ERROR;
}

static void *
perform_question(void *arg)
{
	struct question *q = arg;
	struct quota_client quotad = {.fd = -1};
	struct reason why = {0};
	uint64_t since_ms = clock_now_ms();
	enum told told = ask_quotad(q, &quotad, &why);

	keep_state(told, since_ms, why.text);
	if (told != TOLD)
		answer(q->session, q->token, filter.otherwise, "");
	quota_close(&quotad);
	question_free(q);
	sem_post(&filter.free_slots);
	return NULL;
}

/* The address behind a source route, "@a.test,@b.test:bob@example.org", which a server
 * must take and ignore (RFC 5321 4.1.1.3): smtpd does, and says it with the route. */
static const char *
without_route(const char *address)
{
	const char *p = address;

	while (*p == '@') {
		p += p[1] == '[' ? strcspn(p, "]") : 1;
		p += strcspn(p, ",:");
		if (*p == ':')
			return p + 1;
		p += *p == ',';
	}
	return address;
}

/* The request; NULL without memory. A line's end in an address would be %0A in it. */
static char *
write_request(const struct session *s, const char *recipient)
{
	char *to = record_escape(without_route(recipient)), *from = NULL, *login = NULL,
	     *request = NULL;

	if (s != NULL && s->sender != NULL)
		from = *s->sender ? record_escape(without_route(s->sender))
				  : strdup("<>");
	if (s != NULL && s->login != NULL)
		login = record_escape(s->login);
	if (to == NULL || asprintf(&request, "ACCESS %s 0%s%s stage=rcpt%s%s", to,
				  from ? " " : "", from ? from : "",
				  login ? " login=" : "", login ? login : "") == -1)
		request = NULL;
	free(to);
	free(from);
	free(login);
	return request;
}

static struct question *
question_new(
	const struct session *s, const char *id, const char *token, const char *recipient)
{
	struct question *q = calloc(1, sizeof *q);

	if (q == NULL)
		return NULL;
	q->session = strdup(id);
	q->token = strdup(token);
	q->request = write_request(s, recipient);
	if (q->session != NULL && q->token != NULL && q->request != NULL)
		return q;
	question_free(q);
	return NULL;
}

static int
start_question(struct question *q)
{
	pthread_t thread;

	while (sem_wait(&filter.free_slots) == -1)
		; /* a signal */
	if (pthread_create(&thread, NULL, perform_question, q) == 0)
		return pthread_detach(thread);
	sem_post(&filter.free_slots);
	return -1;
}

/* --- sessions --------------------------------------------------------------------- */

static struct session *
find_session(const char *id)
{
	struct session *s;

	TAILQ_FOREACH(s, &sessions, all)
		if (strcmp(s->id, id) == 0)
			break;
	return s;
}

static void
end_session(struct session *s)
{
	if (s == NULL)
		return;
	TAILQ_REMOVE(&sessions, s, all);
	session_count--;
	free(s->id);
	free(s->sender);
	free(s->login);
	free(s);
}

static struct session *
new_session(const char *id)
{
	struct session *s = calloc(1, sizeof *s);

	if (s != NULL && (s->id = strdup(id)) == NULL) {
		free(s);
		return NULL;
	}
	return s;
}

/* NULL without memory: nothing is known of the session then. */
static struct session *
make_session(const char *id)
{
	struct session *s = find_session(id);

	if (s != NULL)
		TAILQ_REMOVE(&sessions, s, all);
	else if ((s = new_session(id)) == NULL)
		return NULL;
	else if (session_count++ == SESSIONS_MAX)
		end_session(TAILQ_LAST(&sessions, session_list));
	TAILQ_INSERT_HEAD(&sessions, s, all);
	return s;
}

/* Keeps the value, but for one that is not known, or that no request has room for. */
static void
keep(char **where, const char *value)
{
	free(*where);
	*where = value != NULL && strlen(value) <= RECORD_LINE_MAX ? strdup(value) : NULL;
}

/* --- what smtpd says -------------------------------------------------------------- */

static void
take_rcpt(const char *id, const char *token, const char *recipient)
{
	struct question *q = NULL;

	if (is_worth_asking())
		q = question_new(find_session(id), id, token, recipient);
	if (q != NULL && start_question(q) == 0)
		return;
	answer(id, token, filter.otherwise, "");
	if (q != NULL)
		question_free(q);
}

/* A number as smtpd writes it; it ends where an answer has anything else. */
static int
is_number(const char *text)
{
	size_t length = strspn(text, "0123456789abcdefABCDEF");

	return length > 0 && length <= 16 && text[length] == '\0';
}

/* Each take_ function: 0, or -1 if this is nothing that was asked for. */

/* filter|VERSION|TIME|smtp-in|NAME|SESSION|TOKEN|PARAMETER. A sender that can't be read
 * is not the one of the message before. */
static int
take_filter(struct event *e)
{
	const char *token = strsep(&e->rest, "|");
	const char *parameter = e->is_whole ? e->rest : NULL;
	struct session *s;

	if (token == NULL || !is_number(token))
		return -1;
	if (strcmp(e->name, "rcpt-to") == 0 && parameter != NULL) {
		take_rcpt(e->session, token, parameter);
		return 0;
	}
	if (strcmp(e->name, "mail-from") == 0 && (s = make_session(e->session)) != NULL)
		keep(&s->sender, parameter);
	if (strcmp(e->name, "mail-from") == 0 && parameter != NULL) {
		answer(e->session, token, "proceed", "");
		return 0;
	}
	answer(e->session, token, filter.otherwise, "");
	return -1;
}

/* SESSION|NAME|pass, and from protocol 0.7 on SESSION|pass|NAME. */
static int
take_login(struct event *e)
{
	char *name = e->rest, *last = name != NULL ? strrchr(name, '|') : NULL;
	struct session *s = NULL;

	if (last == NULL || !e->is_whole)
		return -1;
	if (strncmp(name, "pass|", 5) == 0)
		name += 5;
	else if (strcmp(last, "|pass") == 0)
		*last = '\0';
	else
		return 0;
	if ((s = make_session(e->session)) != NULL)
		keep(&s->login, name);
	return 0;
}

static int
take_report(struct event *e)
{
	if (strcmp(e->name, "link-auth") == 0)
		return take_login(e);
	if (strcmp(e->name, "link-disconnect") != 0)
		return -1;
	end_session(find_session(e->session));
	return 0;
}

/* Of the settings that smtpd tells none matters, but that they end. */
static int
take_config(const char *setting)
{
	if (setting != NULL && strcmp(setting, "ready") == 0)
		dprintf(STDOUT_FILENO, "register|report|smtp-in|link-auth\n"
				       "register|report|smtp-in|link-disconnect\n"
				       "register|filter|smtp-in|mail-from\n"
				       "register|filter|smtp-in|rcpt-to\n"
				       "register|ready\n");
	return 0;
}

static int
take_line(char *line, int is_whole)
{
	struct event e = {.is_whole = is_whole};
	const char **fields[] = {&e.version, &e.time, &e.subsystem, &e.name, &e.session};

	e.kind = strsep(&line, "|");
	if (strcmp(e.kind, "config") == 0)
		return take_config(line);
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		if ((*fields[i] = strsep(&line, "|")) == NULL)
			return -1;
	e.rest = line;
	if (strcmp(e.subsystem, "smtp-in") != 0 || !is_number(e.session))
		return -1;
	if (strcmp(e.kind, "filter") == 0)
		return take_filter(&e);
	return strcmp(e.kind, "report") == 0 ? take_report(&e) : -1;
}

/* --- the process ------------------------------------------------------------------ */

static int
take_options(int argc, char **argv, const char **conf_file)
{
	int c;

	while ((c = getopt(argc, argv, "c:d")) != -1)
		if (c == 'c')
			*conf_file = optarg;
		else if (c == 'd')
			filter.otherwise = "reject|451 4.3.0 error on the mail server";
		else
			break;
	if (c == -1 && optind == argc)
		return 0;
	fprintf(stderr, "usage: filter-brim [-d] [-c FILE]\n");
	return -1;
}

/* Reads a line without its end; *is_whole if it had room and no NUL, which is a '?'. -1
 * where no line is left. */
static int
read_line(char line[LINE_BYTES], int *is_whole)
{
	size_t length = 0;
	int c;

	*is_whole = 1;
	while ((c = getc_unlocked(stdin)) != EOF && c != '\n') {
		if (c == '\0' || length == LINE_BYTES - 1)
			*is_whole = 0;
		if (length < LINE_BYTES - 1)
			line[length++] = c != '\0' ? (char)c : '?';
	}
	line[length] = '\0';
	return c != EOF ? 0 : -1;
}

static void
log_line(const char *start)
{
	char *shown = record_escape(start);

	pthread_mutex_lock(&filter.mutex);
	dprintf(STDERR_FILENO, "what smtpd says is not understood: %s\n",
		shown != NULL ? shown : "");
	pthread_mutex_unlock(&filter.mutex);
	free(shown);
}

int
main(int argc, char **argv)
{
	static char line[LINE_BYTES];
	char start[SHOWN_BYTES + 1];
	const char *conf_file = NULL;
	struct reason why;
	int is_whole;

	if (take_options(argc, argv, &conf_file) == -1)
		return EX_USAGE;
	signal(SIGPIPE, SIG_IGN);
	sem_init(&filter.free_slots, 0, QUESTIONS_MAX);
	filter.has_conf = conf_load(&filter.conf, conf_file, &why) == 0;
	if (!filter.has_conf)
		dprintf(STDERR_FILENO, "quotad can't be asked: %s\n", why.text);
	while (read_line(line, &is_whole) == 0) {
		*stpncpy(start, line, SHOWN_BYTES) = '\0';
		if (take_line(line, is_whole) == -1)
			log_line(start);
	}
	pthread_mutex_lock(&filter.mutex); /* the end would write again what one writes */
	return 0;
}
