/*
 * lda, and lda-virtual: one message from standard input into the mailbox of one
 * recipient.
 *
 * Says nothing and ends with 0 where the message is stored; otherwise one line, and one
 * of the exit statuses in lib/verdict.c. Whatever it doesn't understand is "try again".
 */
#include <stdlib.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "delivery/delivery.h"
#include "emergency.h"
#include "identity.h"
#include "log.h"
#include "start.h"

struct options {
	const char *conf_file, *recipient, *sender;
};

static int
usage(struct outcome *o, const char *fault)
{
	outcome_set(o, VERDICT_MISCONFIGURED, "%s; usage: %s", fault, program.usage);
	return -1;
}

/* Each option once: pipe(8) with several recipients a run would repeat one. */
static int
take_option(const char **option, struct outcome *o)
{
	if (*option)
		return usage(o, "an option is given twice");
	*option = optarg;
	return 0;
}

static int
read_options(struct options *p, int argc, char **argv, struct outcome *o)
{
	int letter, result = 0;

	opterr = 0;
	while (result == 0 && argc > 0 &&
		(letter = getopt(argc, argv, program.options)) != -1) {
		if (letter == 'c')
			result = take_option(&p->conf_file, o);
		else if (letter == 'd')
			result = take_option(&p->recipient, o);
		else if (letter == 'f')
			result = take_option(&p->sender, o);
		else
			result = usage(o, "an option is unknown or has no value");
	}
	if (result == 0 && optind < argc)
		result = usage(o, "one recipient a run, please, after -d");
	if (result == 0 && p->conf_file && getauxval(AT_SECURE))
		result = usage(o, "-c is not for a program with capabilities");
	return result;
}

/* Arguments, then the environment, then no environment. */
static int
take_arguments(struct delivery *d, int argc, char **argv, struct outcome *o)
{
	struct options p = {0};
	int result = read_options(&p, argc, argv, o);

	if (result == 0)
		result = recipient_take(&d->recipient, p.recipient, p.sender, o);
	d->conf_file = p.conf_file;
	clearenv();
	return result;
}

/* One write: the MTA reads what comes with it as one answer. */
static void
say(const struct outcome *o)
{
	char line[VERDICT_LINE_MAX + 1];
	size_t length = outcome_line(o, line);

	if (length == 0)
		return;
	emergency_over();
	if (write(STDOUT_FILENO, line, length) < 0)
		return; /* nobody listens; the exit status is left to say it */
}

int
main(int argc, char **argv)
{
	static struct delivery delivery;
	struct outcome o;

	log_open_syslog("brim-lda");
	delivery_init(&delivery);
	if (start_clean(&o) == 0) {
		delivery_watch(&delivery);
		if (take_arguments(&delivery, argc, argv, &o) == 0)
			deliver(&delivery, &o);
		if (o.verdict != VERDICT_DELIVERED)
			delivery_drain(&delivery, &o);
		delivery_log(&delivery, &o);
	}
	delivery_end(&delivery);
	say(&o);
	return verdict_exit_status(o.verdict);
}
