/*
 * Prints how much of its limit a mailbox uses, in bytes.
 *
 *	cc -o ask ask.c $(pkg-config --cflags --libs libbrim)
 *	./ask alice@example.org
 */
#include <brim/brim.h>

#include <stdio.h>

/* ask ADDRESS [SOCKET [DAEMON_USER]] */
int
main(int argc, char **argv)
{
	const char *socket = argc > 2 ? argv[2] : BRIM_SOCKET;
	const char *user = argc > 3 ? argv[3] : BRIM_DAEMON_USER;
	const char *address = argc > 1 ? record_escape(argv[1]) : NULL;
	struct quota_client quotad;
	struct quota_answer answer;
	struct reason why = {"usage: ask ADDRESS [SOCKET [DAEMON_USER]]"};

	if (!address || quota_connect(&quotad, socket, user, 10, &why) ||
		quota_ask(&quotad, &answer, &why, "GET %s", address))
		return fprintf(stderr, "%s\n", why.text), 75;
	if (answer.kind != QUOTA_OK)
		return fprintf(stderr, "%s\n", answer.outcome.text), 1;
	printf("%s of %s\n", record_get(&answer.fields, "used"),
		record_get(&answer.fields, "limit"));
	return 0;
}
