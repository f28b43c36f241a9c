/* stat-cost FILE ROUNDS: FILE holds paths, each with its NUL, and one more NUL after the paths of a unit. Prints for each unit
 * the microseconds of CPU that stating its paths costs, the median of ROUNDS: what any scanner pays that proves freshness by
 * stat. Each round goes through all units, as a build does: the paths of one unit again and again would be in the processor's
 * nearest cache, and the kernel's names for them, too. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static double cpu(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

static int compare(const void *one, const void *other) {
    double difference = *(const double *)one - *(const double *)other;
    return (difference > 0) - (difference < 0);
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    FILE *file = fopen(argv[1], "r");
    if (!file) return 1;
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    char *text = malloc(size + 1);
    if (fread(text, 1, size, file) != (size_t)size) return 1;
    int rounds = atoi(argv[2]), units = 0;
    for (char *unit = text; unit < text + size; unit++, units++) {
        while (*unit) unit += strlen(unit) + 1;
    }
    double *took = malloc((size_t)rounds * units * sizeof *took);
    if (!took) return 1;
    for (int round = 0; round < rounds; round++) {
        char *next = text;
        for (int unit = 0; unit < units; unit++, next++) {
            double began = cpu();
            struct stat entry;
            for (; *next; next += strlen(next) + 1) stat(next, &entry);
            took[(size_t)unit * rounds + round] = cpu() - began;
        }
    }
    for (int unit = 0; unit < units; unit++) {
        double *of_unit = took + (size_t)unit * rounds;
        qsort(of_unit, rounds, sizeof *took, compare);
        printf("%.1f\n", of_unit[rounds / 2]);
    }
    return 0;
}
