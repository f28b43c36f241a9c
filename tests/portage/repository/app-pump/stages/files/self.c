#include <stdio.h>
#include "stage.h"
#include "table.h"
#define ROW(a, b) + (a) * (b)
/* What an object has of its table. */
int table_sum = 0 TABLE;
#undef ROW
/* Prints the header of the next stage, or with an argument its table. */
int main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1)
		for (int i = 0; i < 16; i++)
			printf("ROW(%d, %d)\n", i, (i * 7 + (STAGE > 1 ? 3 : 0)) % 16);
	else
		printf("#define STAGE %d\n", STAGE < 2 ? STAGE + 1 : 2);
	return 0;
}
