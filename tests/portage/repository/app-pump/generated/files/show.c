#include <stdio.h>
const char *before(void), *after(void);
int step_1(void), step_2(void), step_3(void), step_4(void), step_5(void), step_6(void), step_7(void), step_8(void);
int main(void)
{
	printf("%s %s %d%d%d%d%d%d%d%d\n", before(), after(), step_1(), step_2(), step_3(), step_4(), step_5(), step_6(),
	       step_7(), step_8());
	return 0;
}
