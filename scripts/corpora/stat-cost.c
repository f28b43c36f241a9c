/* stat-cost FILE ROUNDS: FILE holds paths, each with its NUL. Prints the microseconds of CPU that stating all of them
 * costs, the best of ROUNDS: what any scanner pays that proves freshness by stat. */
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

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    FILE *file = fopen(argv[1], "r");
    if (!file) return 1;
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    char *text = malloc(size + 1);
    if (fread(text, 1, size, file) != (size_t)size) return 1;
    double best = 1e18;
    for (int round = atoi(argv[2]); round > 0; round--) {
        double began = cpu();
        struct stat entry;
        for (char *path = text; path < text + size; path += strlen(path) + 1) stat(path, &entry);
        double took = cpu() - began;
        if (took < best) best = took;
    }
    printf("%.1f\n", best);
    return 0;
}
