/*
 * The policy protocol with a fake of access behind it. A digit as the first byte of an
 * input says that its bytes go as they are; else it says what access answers, and when,
 * and the rest goes behind an empty line that ends the last request.
 *
 * Promised are: one answer for each request; an action that is DUNNO, or a reply code, an
 * enhanced code of its class and a text, ASCII, in one line, and that is what access has
 * said; never OK and never an empty action; no answer where a request can't be read; and
 * the same answers in whatever pieces the bytes come.
 */
#include <event2/buffer.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "fuzz.h"
#include "log.h"
#include "quotad/protocol/policy.h"
#include "quotad/protocol/policy_instances.h"

#define REQUESTS_MAX 64 /* that wait at a time, as the connection has it */

#define RCPT "request=smtpd_access_policy\nprotocol_state=RCPT\n"
#define DATA "request=smtpd_access_policy\nprotocol_state=DATA\n"
#define END  "request=smtpd_access_policy\nprotocol_state=END-OF-MESSAGE\n"

const char *const fuzz_seeds[] = {
	RCPT
	"sender=me@sender.test\nrecipient=alice@example.org\nsize=5000\ninstance=a.1\n",
	"\1" RCPT "recipient=alice@example.org\ninstance=a.1\n\n" RCPT
	"recipient=bob@example.org\ninstance=a.1\n\n" END
	"recipient=\nrecipient_count=2\nsize=70000\ninstance=a.1\n",
	"\2" END "recipient=a\nqueue_id=4bX-1\nclient_address=::1\n\n",
	"\2" RCPT "recipient=a\nsasl_username=alice\n\n" DATA "recipient=a\n\n" END
	"recipient=a\n",
	"\3" RCPT "recipient=\"a: b\"@example.org\nsize=18446744073709551616\n",
	"\x14" RCPT "recipient=alice@example.org\nrecipient=bob@example.org\n",
	"\x25request=junk\nprotocol_state=VRFY\nrecipient=a@b\n\nrecipient=a@b\n",
	"\x86" RCPT "recipient=\xc3\xbc@example.org\nsize=-1\ninstance=\n\n\n",
	"\x97" RCPT "recipient=alice@example.org\nno equals sign\n",
	"\xa8=x\nrecipient==\n\nrecipient=x: 550 OK\n",
	"\xbb" RCPT "recipient=OK\n\n" RCPT "recipient=a\n",
	NULL,
};

/* One that the connection would have. */
struct request {
	void *state;
	int answers;
	char *answer;
	int asked; /* access was: what is answered is what it has said */
	enum verdict verdict;
	struct access_question *question; /* to be answered later */
};

static struct fake {
	uint8_t how;
	int logged;
	struct request requests[REQUESTS_MAX];
	size_t count;
	struct request *current;
	struct policy_instances *instances;
} fake;

static struct conf conf;
static const struct access access_of_fake = {.conf = &conf};

/* --- the neighbours --------------------------------------------------------------- */

void
log_line(enum log_level level, const char *format, ...)
{
	(void)level;
	(void)format;
	fake.logged++;
}

uint64_t
clock_now_ms(void)
{
	static uint64_t now;

	return now += 1000;
}

struct room_asker
request_asker(const struct request *r)
{
	(void)r;
	return (struct room_asker){.trusted = 1};
}

int
clients_identify(
	const struct clients *c, uid_t peer, const char *address, uint64_t *account)
{
	(void)c;
	(void)peer;
	*account = 1;
	return address != NULL;
}

void
request_set_state(struct request *r, void *state)
{
	r->state = state;
}

void *
request_state(const struct request *r)
{
	return r->state;
}

void
request_fault(struct request *r)
{
	(void)r;
}

void
request_answer(struct request *r, const char *format, ...)
{
	va_list args;

	r->answers++;
	free(r->answer);
	va_start(args, format);
	if (vasprintf(&r->answer, format, args) < 0)
		abort();
	va_end(args);
}

/* The text has what the client wrote, as those of the room do. */
static void
answer_question(struct request *r, struct access_question *q, const char *text)
{
	struct outcome o;

	if (r->verdict == VERDICT_DELIVERED)
		outcome_set(&o, r->verdict, NULL);
	else
		outcome_set(&o, r->verdict, "not taken: %s", text);
	q->answered(q, &o);
}

void
access_ask(const struct access *access, struct access_question *q,
	const struct room_asker *asker)
{
	struct request *r = fake.current;

	fuzz_promise(access == &access_of_fake && asker->trusted, "access is asked", "");
	fuzz_promise(q->queue_id == NULL ||
			     (q->stage == ACCESS_MESSAGE && q->queue_id[0] != '\0' &&
				     strspn(q->queue_id, LEDGER_ID_BYTES) ==
					     strlen(q->queue_id)),
		"a queue id is one", q->queue_id != NULL ? q->queue_id : "");
	r->asked++;
	r->verdict = (enum verdict)((fake.how & 15) % VERDICTS);
	for (size_t i = 0; i < q->count; i++)
		fuzz_promise(strchr(q->recipients[i], '\n') == NULL,
			"a recipient is one line", q->recipients[i]);
	if ((fake.how & 16) != 0)
		r->question = q;
	else
		answer_question(r, q, q->count > 0 ? q->recipients[0] : "nobody is told");
}

void
access_finish(struct access_question *q)
{
	(void)q;
}

/* --- promises --------------------------------------------------------------------- */

/* "550 5.1.1 text" */
static void
check_reply(const struct request *r, const char *action)
{
	int class, code, a, b, c, read = 0;

	fuzz_promise(sscanf(action, "%1d%2d %1d.%3d.%3d %n", &class, &code, &a, &b, &c,
			     &read) == 5 &&
			     read >= 10 && (class == 4 || class == 5) && class == a,
		"an action is DUNNO or a reply with codes of one class", action);
	fuzz_promise(action[read] != '\0' && strcmp(action + read, "\n\n") != 0,
		"a reply has a text", action);
	fuzz_promise(strstr(action, ": ") == NULL, "a text has no colon", action);
	fuzz_promise(strncmp(action, verdict_smtp(r->verdict), 9) == 0,
		"the reply is the verdict's", action);
}

static void
check_answer(const struct request *r)
{
	static const char head[] = "action=";
	const char *action = r->answer + sizeof head - 1;
	const size_t length = strlen(r->answer);
	const int is_error =
		r->verdict == VERDICT_TROUBLE || r->verdict == VERDICT_MISCONFIGURED;

	fuzz_promise(strncmp(r->answer, head, sizeof head - 1) == 0 && length > 10 &&
			     strstr(r->answer, "\n\n") == r->answer + length - 2,
		"an answer is one action", r->answer);
	for (size_t i = 0; i < length - 2; i++)
		fuzz_promise(r->answer[i] >= ' ' && r->answer[i] <= '~',
			"an action is one line of ASCII", r->answer);
	if (strcmp(action, "DUNNO\n\n") == 0)
		fuzz_promise(!r->asked || r->verdict == VERDICT_DELIVERED ||
				     (r->verdict == VERDICT_NO_SUCH_USER &&
					     conf.policy_unknown_passes) ||
				     (is_error && conf.policy_error_passes),
			"what access refuses is refused", r->answer);
	else
		check_reply(r, action);
	fuzz_promise(r->asked || strcmp(action, "DUNNO\n\n") == 0,
		"nothing is refused that nobody was asked about", r->answer);
}

/* --- one input -------------------------------------------------------------------- */

/* The last half of an input's requests may have a client that is gone. */
static void
end_requests(FILE *told)
{
	for (size_t i = 0; i < fake.count; i++) {
		struct request *r = &fake.requests[i];
		int is_gone = r->question != NULL && (fake.how & 32) && i % 2;

		if (r->question != NULL && !is_gone)
			answer_question(r, r->question, "later");
		fuzz_promise(r->answers == !is_gone, "a request has one answer", "");
		if (!is_gone && r->answer[0] != '\0')
			check_answer(r);
		fprintf(told, "%s", is_gone ? "gone\n" : r->answer);
		policy_protocol.finish(r);
		free(r->answer);
	}
	fake.count = 0;
}

static void
perform(const struct policy *p, char *message, size_t length)
{
	struct request *r = &fake.requests[fake.count++];
	const int logged = fake.logged;

	*r = (struct request){0};
	fake.current = r;
	policy_protocol.perform((void *)p, r, message, length);
	if (message == NULL)
		fuzz_promise(
			r->answers == 1 && r->answer[0] == '\0' && fake.logged > logged,
			"what can't be read has a line in the log, and no answer",
			r->answer);
}

/* As the connection does: an empty buffer is not read. */
static enum protocol_read
perform_all(const struct policy *p, struct evbuffer *bytes, FILE *told)
{
	enum protocol_read read = PROTOCOL_INCOMPLETE;
	char *message = NULL;
	size_t length = 0;

	while (evbuffer_get_length(bytes) > 0 &&
		(read = policy_protocol.read(bytes, &message, &length)) ==
			PROTOCOL_MESSAGE) {
		if (fake.count == REQUESTS_MAX - 1)
			end_requests(told);
		fuzz_promise(message[length] == '\0', "a NUL ends a message", "");
		perform(p, message, length);
		free(message);
	}
	if (read == PROTOCOL_NONSENSE)
		perform(p, NULL, 0);
	return read;
}

static char *
answers(const char *data, size_t size, size_t at_once)
{
	struct evbuffer *bytes = evbuffer_new();
	struct policy p = {.access = &access_of_fake,
		.conf = &conf,
		.clients = (const struct clients *)&fake,
		.instances = policy_instances_new()};
	char *text;
	size_t length;
	FILE *told = open_memstream(&text, &length);
	enum protocol_read read = PROTOCOL_INCOMPLETE;

	for (size_t i = 0; i < size && read != PROTOCOL_NONSENSE; i += at_once) {
		evbuffer_add(bytes, data + i, size - i < at_once ? size - i : at_once);
		read = perform_all(&p, bytes, told);
	}
	end_requests(told);
	fclose(told);
	evbuffer_free(bytes);
	policy_instances_free(&p.instances);
	return text;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const int is_raw = size > 0 && data[0] >= '0' && data[0] < 0x80;
	char *bytes, *whole, *pieces;

	fake.how = size > 0 && !is_raw ? data[0] : (uint8_t)size;
	conf.policy_error_passes = fake.how >> 6 & 1;
	bytes = malloc(size + 2);
	memcpy(bytes, data + (size > 0 && !is_raw), size - (size > 0 && !is_raw));
	if (!is_raw && size > 0) {
		bytes[size - 1] = '\n';
		bytes[size] = '\n';
		size++;
	}
	whole = answers(bytes, size, size + 1);
	pieces = answers(bytes, size, 1 + fake.how % 7);
	fuzz_promise(
		strcmp(whole, pieces) == 0, "pieces are answered as the whole", pieces);
	free(whole);
	free(pieces);
	free(bytes);
	return 0;
}
