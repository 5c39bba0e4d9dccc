#include "brimadm.h"

int
brimadm_import_passwd(struct brimadm *a, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return brimadm_refuse(a, TOOL_CANT, "not made yet");
}

int
brimadm_import_postfix(struct brimadm *a, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return brimadm_refuse(a, TOOL_CANT, "not made yet");
}

int
brimadm_import_postfixadmin(struct brimadm *a, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return brimadm_refuse(a, TOOL_CANT, "not made yet");
}
