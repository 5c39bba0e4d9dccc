/* Options first, then the environment where the program believes it. */
#include "arguments.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "identity.h"

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
read_options(struct arguments *a, int argc, char **argv, struct outcome *o)
{
	int letter, result = 0;

	opterr = 0;
	while (result == 0 && argc > 0 &&
		(letter = getopt(argc, argv, program.options)) != -1) {
		if (letter == 'c')
			result = take_option(&a->conf_file, o);
		else if (letter == 'd')
			result = take_option(&a->envelope.recipient, o);
		else if (letter == 'f')
			result = take_option(&a->envelope.sender, o);
		else
			result = usage(o, "an option is unknown or has no value");
	}
	if (result == 0 && optind < argc)
		result = usage(o, "one recipient a run, please, after -d");
	/* behind sendmail's flag S is root, who may name any file */
	if (result == 0 && a->conf_file && getauxval(AT_SECURE) && getauxval(AT_UID) != 0)
		result = usage(o, "-c is not for a program with capabilities");
	return result;
}

/* Exim with batch_max has several recipients for one run. They share a domain at most:
 * the local part is "NULL" then, and RECIPIENT has nothing where they differ. */
static int
is_batch(const char *local)
{
	const char *recipient = getenv("RECIPIENT");

	return local[0] && recipient && recipient[0] == '@' &&
	       !strchr(recipient + 1, '@');
}

/* Exim has the address in parts, the extension's separator included. What it sets
 * RECIPIENT to is put together of the same. */
static void
ask_exim(struct arguments *a, const char *local, const char *domain)
{
	struct envelope *e = &a->envelope;

	e->mta = MTA_EXIM;
	e->original = getenv("RECIPIENT");
	e->extension = getenv("LOCAL_PART_SUFFIX");
	e->prefix = getenv("LOCAL_PART_PREFIX");
	if (asprintf(&a->joined, "%s%s@%s", local, e->extension ? e->extension : "",
		    domain) < 0)
		a->joined = NULL;
	e->address = a->joined;
}

/* Postfix and OpenSMTPD set RECIPIENT and more of the same names; what Postfix alone sets
 * tells them apart. */
static void
ask_environment(struct arguments *a)
{
	const char *local = getenv("LOCAL_PART"), *domain = getenv("DOMAIN");
	struct envelope *e = &a->envelope;

	e->uid = (uid_t)getauxval(AT_EUID);
	e->account = getenv("USER");
	if (!e->account)
		e->account = getenv("LOGNAME");
	a->is_batch = local && domain && is_batch(local);
	if (a->is_batch) {
		e->mta = MTA_EXIM;
	} else if (local && domain) {
		ask_exim(a, local, domain);
	} else {
		e->address = getenv("RECIPIENT");
		e->original = getenv("ORIGINAL_RECIPIENT");
		e->extension = getenv("EXTENSION");
		e->mta = MTA_OTHER;
		if (e->original || getenv("MAIL_CONFIG"))
			e->mta = MTA_POSTFIX;
		else if (e->account)
			e->mta = MTA_OPENSMTPD;
	}
	if (!e->address || !e->address[0])
		e->mta = MTA_OPTION;
}

static int
find_envelope(struct arguments *a, struct outcome *o)
{
	struct envelope *e = &a->envelope;

	if (program.takes_environment) {
		ask_environment(a);
		if (!e->sender)
			e->sender = getenv("SENDER");
		if (!e->recipient)
			e->recipient = e->address;
	}
	if (e->recipient)
		return 0;
	outcome_set(o, VERDICT_MISCONFIGURED, "no recipient: %s",
		a->is_batch ? "Exim gives several a run; its transport must not have "
			      "batch_max"
		: program.takes_environment
			? "neither -d nor the MTA's environment names one"
			: "-d names none, and nothing else is believed");
	return -1;
}

int
arguments_take(struct arguments *a, int argc, char **argv, struct outcome *o)
{
	int result;

	memset(a, 0, sizeof *a);
	result = read_options(a, argc, argv, o);
	if (result == 0)
		result = find_envelope(a, o);
	clearenv();
	return result;
}

void
arguments_clear(struct arguments *a)
{
	free(a->joined);
	a->joined = NULL;
}
