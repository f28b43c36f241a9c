/* Stands for compilers that misbehave. The file "mode" beside it says how; each start with -### is a line in "starts". */
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    char directory[4096], path[8192], mode[64] = "honest";
    int dry = argc > 1 && !strcmp(argv[1], "-###");
    snprintf(directory, sizeof directory, "%s", argv[0]);
    char *here = dirname(directory);
    snprintf(path, sizeof path, "%s/mode", here);
    FILE *file = fopen(path, "r");
    if (file && fscanf(file, "%63s", mode) != 1) return 9;
    if (dry) {
        snprintf(path, sizeof path, "%s/starts", here);
        FILE *starts = fopen(path, "a");
        if (starts) { fputs("start\n", starts); fclose(starts); }
    }
    if (!strcmp(mode, "hang")) for (;;) pause();
    if (!strcmp(mode, "crash")) abort();
    if (!strcmp(mode, "flood")) for (;;) puts("all work and no play makes a compiler a dull program");
    if (!strcmp(mode, "wrap")) { argv[0] = "/usr/bin/gcc"; execv(argv[0], argv); return 9; }
    if (!strcmp(mode, "silent")) return 0;
    if (dry) {
        fprintf(stderr, "COLLECT_GCC=%s\nTarget: fake-%s\ngcc version 99.1 (Fake)\n", argv[0], mode);
        fprintf(stderr, " %s/cc1 -quiet /dev/null%s\n", here, !strcmp(mode, "plugin") ? " -fplugin=/x.so" : "");
        fprintf(stderr, " as --64\n");
    } else if (argc > 3 && !strcmp(argv[3], "-E")) {
        puts(strcmp(mode, "macroless") ? "#define FAKE 1" : "");
    }
    return 0;
}
