/*
 * check: words behind lda's path that it does not take, such as options that were another
 * program's. lda answers 4.3.5 to every delivery then.
 */
#include <stdlib.h>
#include <string.h>

#include "check.h"

#define BLANKS    " \t"
#define WORDS_MAX 256

/* The option at I with its value is refused where that is missing, or it is given for the
 * second time; of -d that is another finding. Returns the last word of both. */
static int
take_option(char *const *word, int count, int i, char *refused)
{
	const int value = i + (word[i][2] == '\0');
	int is_second = 0;

	for (int before = 0; before < i && word[i][1] != 'd'; before++)
		is_second |= !refused[before] && strncmp(word[before], word[i], 2) == 0;
	if (value < count && !is_second)
		return value;
	refused[i] = 1;
	if (value < count)
		refused[value] = 1;
	return value;
}

int
check_arguments(char *const *word, int count, char *refused)
{
	int first = 0;

	for (int i = 0; i < count; i++)
		if (word[i][0] == '-' && word[i][1] && strchr("cdf", word[i][1]))
			i = take_option(word, count, i, refused);
		else
			refused[i] = strcmp(word[i], "--") != 0;
	while (first < count && !refused[first])
		first++;
	return first < count ? first : -1;
}

/* The service of local(8) that runs lda by a setting of its own; NULL where main.cf has
 * it. */
static const struct postconf_service *
find_local(struct check *c, const char *setting)
{
	for (size_t i = 0; i < c->postfix.service_count; i++) {
		const struct postconf_service *s = &c->postfix.services[i];
		const char *own = strcmp(s->command, "local") == 0
					  ? postconf_override(&c->postfix, s, setting)
					  : NULL;

		if (own && check_find_lda(c, own))
			return s;
	}
	return NULL;
}

void
check_command_arguments(struct check *c, const char *lda)
{
	static const char name[] = "mailbox_command";
	char *text = strdup(strstr(c->command, lda)), *p = text,
	     *word[WORDS_MAX] = {NULL}, refused[WORDS_MAX] = {0};
	const char *kept = check_text(c, "%.*s",
		(int)(strstr(c->command, lda) - c->command + strlen(lda)), c->command);
	const struct postconf_service *own = NULL;
	int count = 0, first;

	strsep(&p, BLANKS);
	while (p && count < WORDS_MAX) {
		word[count] = strsep(&p, BLANKS);
		count += word[count][0] != '\0';
	}
	first = check_arguments(word, count, refused);
	for (int i = 0; i < count; i++)
		if (!refused[i])
			kept = check_text(c, "%s %s", kept, word[i]);
	if (!check_find_lda(c, check_postfix_value(c, name)))
		own = find_local(c, name);
	if (first >= 0)
		check_found(c, CHECK_LDA_ARGUMENTS, name,
			own ? check_postfix_own(c, own, name, kept)
			    : check_postfix_setting(c, name, kept),
			"lda does not take %s there", word[first]);
	free(text);
}
