/* A process and nothing else, linked as the floor is: what a machine takes for one. */
int
main(void)
{
	return 0;
}
