/* Two Postfix configurations, compared setting by setting and service by service. */
#include "differences.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/quote.h"

static char *
service_key(const struct postconf_service *s)
{
	char *key;

	return asprintf(&key, "%s/%s", s->name, s->type) < 0 ? NULL : key;
}

static char *
service_text(const struct postconf_service *s)
{
	char *text;

	return !s || asprintf(&text, "%s %s %s %s %s %s %s %s%s%s", s->name, s->type,
			     s->private, s->unprivileged, s->chroot, s->wakeup,
			     s->processes, s->command, s->arguments[0] ? " " : "",
			     s->arguments) < 0
		       ? NULL
		       : text;
}

static size_t
compare_settings(const struct postconf *old, const struct postconf *new, difference *each)
{
	size_t count = 0;

	for (size_t i = 0; i < old->setting_count; i++) {
		const struct postconf_setting *s = &old->settings[i];
		const char *value = postconf_get(new, s->name);

		if (value && strcmp(value, s->value) == 0)
			continue;
		each(s->name, 0, s->value, value);
		count++;
	}
	for (size_t i = 0; i < new->setting_count; i++)
		if (!postconf_get(old, new->settings[i].name)) {
			each(new->settings[i].name, 0, NULL, new->settings[i].value);
			count++;
		}
	return count;
}

static size_t
compare_service(const struct postconf_service *old, const struct postconf_service *new,
	difference *each)
{
	char *key = service_key(old ? old : new), *before = service_text(old),
	     *after = service_text(new);
	size_t differs = !before || !after || strcmp(before, after) != 0;

	if (differs && key)
		each(key, 1, before, after);
	free(key);
	free(before);
	free(after);
	return differs;
}

size_t
differences_find(const struct postconf *old, const struct postconf *new, difference *each)
{
	size_t count = compare_settings(old, new, each);

	for (size_t i = 0; i < old->service_count; i++) {
		const struct postconf_service *s = &old->services[i];

		count +=
			compare_service(s, postconf_service(new, s->name, s->type), each);
	}
	for (size_t i = 0; i < new->service_count; i++) {
		const struct postconf_service *s = &new->services[i];

		if (!postconf_service(old, s->name, s->type))
			count += compare_service(NULL, s, each);
	}
	return count;
}

void
differences_print(const char *key, int service, const char *old, const char *new)
{
	const char *name = service ? "" : key, *equals = service ? "" : " = ";

	if (old)
		printf("-%s%s%s\n", name, equals, old);
	if (new)
		printf("+%s%s%s\n", name, equals, new);
}

void
differences_print_command(const char *key, int service, const char *old, const char *new)
{
	char *text, *quoted = NULL;

	(void)new;
	if (!old) {
		printf("postconf -%sX %s\n", service ? "M" : "", key);
		return;
	}
	if (asprintf(&text, "%s%s%s", key, service ? "=" : " = ", old) < 0)
		return;
	quoted = quote_word(text);
	free(text);
	if (quoted)
		printf("postconf -%se %s\n", service ? "M" : "", quoted);
	free(quoted);
}
