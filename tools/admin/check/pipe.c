/*
 * check: the arguments that a pipe service gives lda. Each finding's repair is the whole
 * command as it should be, so that one repairs them all.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

#define BLANKS    " \t"
#define WORDS_MAX 256

/* The words of the service, blanks within braces their own, as they are written. */
struct words {
	char *word[WORDS_MAX];
	int count;
	int command; /* index of the word "argv=..." */
	int lda;     /* of that which is lda's path; -1 where it is part of one */
	int flags;   /* of the attributes; -1 without */
	int null_sender;
	int recipient, sender; /* of the values of -d and -f; -1 without */
	int recipients;        /* how often -d is given */
};

static void
split(struct words *w, const char *text)
{
	const char *end;

	for (const char *p = text + strspn(text, BLANKS); *p && w->count < WORDS_MAX;
		p = end + strspn(end, BLANKS)) {
		int braces = 0;

		for (end = p; *end && (braces > 0 || !strchr(BLANKS, *end)); end++)
			braces += (*end == '{') - (*end == '}');
		w->word[w->count] = strndup(p, (size_t)(end - p));
		if (!w->word[w->count])
			return;
		w->count++;
	}
}

static int
begins(const char *word, const char *with)
{
	return strncmp(word, with, strlen(with)) == 0;
}

/* The attributes: -o takes the next word, and argv= all the rest. */
static void
find_attributes(struct words *w)
{
	for (int i = 0; i < w->count && w->command < 0; i++) {
		if (strcmp(w->word[i], "-o") == 0)
			i++;
		else if (begins(w->word[i], "flags="))
			w->flags = i;
		else if (begins(w->word[i], "null_sender="))
			w->null_sender = i;
		else if (begins(w->word[i], "argv="))
			w->command = i;
	}
}

/* lda's options, as getopt(3) takes them. */
static void
find_options(struct check *c, struct words *w)
{
	for (int i = w->command; i >= 0 && i < w->count && w->lda < 0; i++) {
		const char *path = w->word[i] + (i == w->command ? strlen("argv=") : 0);
		const char *lda = check_find_lda(c, path);

		if (lda && strcmp(lda, path) == 0)
			w->lda = i;
	}
	for (int i = w->lda; i >= 0 && i + 1 < w->count; i++) {
		const char *word = w->word[i + 1];
		int letter = word[0] == '-' ? word[1] : 0;

		if (!letter || letter == '-' || !strchr("cdf", letter))
			continue;
		i += word[2] == '\0'; /* the value is the next one */
		if (letter == 'd') {
			w->recipient = i + 1;
			w->recipients++;
		} else if (letter == 'f') {
			w->sender = i + 1;
		}
	}
}

/* The value of an option with $(name) and $name as ${name}. */
static const char *
value_of(struct check *c, const struct words *w, int index)
{
	const char *p = index < w->count ? w->word[index] : "";
	const char *text = "";

	if (begins(p, "-d") || begins(p, "-f"))
		p += 2;
	if (*p == '{' && p[strlen(p) - 1] == '}')
		p = check_text(c, "%.*s", (int)strlen(p) - 2, p + 1);
	while (*p) {
		size_t plain = strcspn(p, "$"), name;

		text = check_text(c, "%s%.*s", text, (int)plain, p);
		p += plain;
		if (!*p++)
			break;
		p += *p == '{' || *p == '(';
		name = strcspn(p, "{}()@.+ -/$:?");
		text = check_text(c, "%s${%.*s}", text, (int)name, p);
		p += name;
		p += *p == '}' || *p == ')';
	}
	return text;
}

static int
is_one_of(const char *value, const char *const *values)
{
	while (*values && strcmp(*values, value) != 0)
		values++;
	return *values != NULL;
}

/* --- the command as it should be ---------------------------------------------------- */

static void
print_word(FILE *to, const struct words *w, int i, int fix_recipient, int fix_sender)
{
	const char *word = w->word[i];

	if (i == w->command && w->null_sender < 0)
		fputs(" null_sender=", to);
	fputc(' ', to);
	if (i == w->null_sender)
		fputs("null_sender=", to);
	else if (i == w->flags)
		for (; *word; word++) {
			if (*word != 'q')
				fputc(*word, to);
		}
	else if (i == w->recipient && fix_recipient)
		fprintf(to, "%s${recipient}", begins(word, "-d") ? "-d" : "");
	else if (i == w->sender && fix_sender)
		fprintf(to, "%s${sender}", begins(word, "-f") ? "-f" : "");
	else
		fputs(word, to);
	if (i == w->lda && w->recipient < 0)
		fputs(" -d ${recipient}", to);
	if (i == w->lda && w->sender < 0 && fix_sender)
		fputs(" -f ${sender}", to);
}

static const char *
command(struct check *c, const struct postconf_service *s, const struct words *w,
	int fix_recipient, int fix_sender)
{
	char *text = NULL;
	const char *word = "";
	size_t size;
	FILE *to = open_memstream(&text, &size);

	if (!to)
		return "";
	fprintf(to, "%s/%s/command=pipe", s->name, s->type);
	for (int i = 0; i < w->count; i++)
		print_word(to, w, i, fix_recipient, fix_sender);
	if (fclose(to) == 0)
		word = check_text(c, "postconf -Fe %s%s", check_quote(c, text),
			check_postfix_reload(c));
	free(text);
	return word;
}

/* --- findings ----------------------------------------------------------------------- */

static const char *const recipients[] = {
	"${recipient}", "${user}@${domain}", "${mailbox}@${domain}", NULL};
static const char *const senders[] = {"${sender}", NULL};

/* What lda is not told, or told wrong; NULL where all is right. */
static const char *
find_fault(struct check *c, const struct words *w, int *fix_recipient, int *fix_sender)
{
	const char *to = w->recipient < 0 ? NULL : value_of(c, w, w->recipient);
	const char *from = w->sender < 0 ? NULL : value_of(c, w, w->sender);
	const char *flags = w->flags < 0 ? "" : w->word[w->flags] + strlen("flags=");

	*fix_recipient = !to || !is_one_of(to, recipients);
	*fix_sender = from ? !is_one_of(from, senders) : !strchr(flags, 'R');
	if (!to)
		return "lda gets no -d, and pipe(8) sets no environment that names the "
		       "recipient";
	if (*fix_recipient)
		return check_text(c,
			"-d is %s, not ${recipient} (or ${user}@${domain}, without the "
			"extension)",
			to);
	if (*fix_sender)
		return from ? check_text(c, "-f is %s, not ${sender}", from)
			    : "neither -f nor the flag R tells the sender";
	return NULL;
}

/* What lda is told by its arguments; where a shell runs it nobody can say. */
static void
check_words(struct check *c, const struct postconf_service *s, const struct words *w)
{
	int fix_recipient = 0, fix_sender = 0;
	const char *fault =
		w->lda < 0 ? NULL : find_fault(c, w, &fix_recipient, &fix_sender);
	const char *repair = command(c, s, w, fix_recipient, fix_sender);

	if (w->recipients > 1)
		check_found(c, CHECK_PIPE_ARGUMENTS, s->name,
			"Give -d once, with ${recipient}.", "-d is given %s",
			AMOUNT_OF((uint64_t)w->recipients, "time", "times"));
	else if (fault)
		check_found(c, CHECK_PIPE_ARGUMENTS, s->name, repair, "%s", fault);
	if (w->flags >= 0 && strchr(w->word[w->flags] + strlen("flags="), 'q'))
		check_found(c, CHECK_PIPE_ARGUMENTS, s->name, repair,
			"the flag q quotes addresses, and the table has them unquoted");
	if (w->null_sender < 0 || strcmp(w->word[w->null_sender], "null_sender=") != 0)
		check_found(c, CHECK_PIPE_NULL_SENDER, s->name, repair,
			w->null_sender < 0 ? "null_sender= is not set" : "it is %s",
			w->null_sender < 0 ? "" : w->word[w->null_sender]);
}

void
check_pipe_arguments(struct check *c, const struct postconf_service *s)
{
	struct words w = {.command = -1,
		.lda = -1,
		.flags = -1,
		.null_sender = -1,
		.recipient = -1,
		.sender = -1};

	split(&w, s->arguments);
	find_attributes(&w);
	if (w.command >= 0) {
		find_options(c, &w);
		check_words(c, s, &w);
	}
	for (int i = 0; i < w.count; i++)
		free(w.word[i]);
}
