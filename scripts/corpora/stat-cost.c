/* stat-cost FILE ROUNDS: FILE holds paths, each with its NUL, and one more NUL after the paths of a unit. Prints for each unit
 * the microseconds of CPU that stating its paths costs, the median of ROUNDS: what any scanner pays that proves freshness by
 * stat. */
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
    int rounds = atoi(argv[2]);
    double *took = malloc(rounds * sizeof *took);
    for (char *unit = text, *next = text; unit < text + size; unit = next + 1) {
        for (int round = 0; round < rounds; round++) {
            double began = cpu();
            struct stat entry;
            for (next = unit; *next; next += strlen(next) + 1) stat(next, &entry);
            took[round] = cpu() - began;
        }
        qsort(took, rounds, sizeof *took, compare);
        printf("%.1f\n", took[rounds / 2]);
    }
    return 0;
}
