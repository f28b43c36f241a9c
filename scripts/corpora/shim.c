/* The compiler shim of scripts/corpora.sh: stands in PATH as gcc, g++ and the like, and writes down how it was called.
 *
 *   CORPORA_LOG       where a record goes: "<words>\0<directory>\0" and each word with its NUL
 *   CORPORA_REAL_PATH directory of the real compilers
 *   CORPORA_STUB      an empty object: a compile copies it instead of compiling, a link makes a program that does nothing.
 *                     Without it everything is really compiled.
 *   CORPORA_REAL      words with ':' between; an output whose name holds one of them is really compiled
 *   CORPORA_PROGRAMS  NAME=PATH words with ':' between; the link of NAME makes a link to PATH, a program of this machine
 */
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *program; /* the name it was called by */

static void die(const char *what) {
    perror(what);
    exit(97);
}

static void record(int argc, char **argv) {
    const char *log = getenv("CORPORA_LOG");
    char cwd[PATH_MAX];
    if (!log) return;
    if (!getcwd(cwd, sizeof cwd)) die("getcwd");
    size_t size = 0;
    char *text;
    FILE *out = open_memstream(&text, &size);
    fprintf(out, "%d%c%s%c", argc, 0, cwd, 0);
    fprintf(out, "%s%c", program, 0);
    for (int i = 1; i < argc; i++) fprintf(out, "%s%c", argv[i], 0);
    fclose(out);
    int fd = open(log, O_WRONLY | O_APPEND | O_CREAT, 0666);
    /* One write to a file opened for appending: records never mix. */
    if (fd < 0 || write(fd, text, size) != (ssize_t)size) die(log);
    close(fd);
}

static void really(char **argv) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", getenv("CORPORA_REAL_PATH"), program);
    argv[0] = path;
    execv(path, argv);
    die(path);
}

static int holds(const char *list, const char *name) {
    if (!list) return 0;
    char *copy = strdup(list);
    for (char *word = strtok(copy, ":"); word; word = strtok(NULL, ":"))
        if (strstr(name, word)) return 1;
    return 0;
}

static void copy(const char *from, const char *to, int mode) {
    static char buffer[1 << 20];
    int in = open(from, O_RDONLY);
    if (in < 0) die(from);
    unlink(to);
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC, mode);
    if (out < 0) die(to);
    for (ssize_t n; (n = read(in, buffer, sizeof buffer)) > 0;)
        if (write(out, buffer, n) != n) die(to);
    close(in);
    close(out);
}

static void link_program(const char *output) {
    char *list = getenv("CORPORA_PROGRAMS"), *name = basename(strdup(output));
    list = list ? strdup(list) : NULL;
    for (char *word = list ? strtok(list, ":") : NULL; word; word = strtok(NULL, ":")) {
        char *is = strchr(word, '=');
        if (is && (size_t)(is - word) == strlen(name) && !strncmp(word, name, is - word)) {
            unlink(output);
            if (symlink(is + 1, output)) die(output);
            return;
        }
    }
    copy("/bin/true", output, 0777);
}

/* The dependency file that a compile would have left, as far as a build wants to see one. */
static void dependencies(const char *file, const char *output, const char *source) {
    char name[PATH_MAX];
    if (file) {
        snprintf(name, sizeof name, "%s", file);
    } else {
        snprintf(name, sizeof name, "%s", output);
        char *dot = strrchr(name, '.');
        if (!dot || strchr(dot, '/')) dot = name + strlen(name);
        snprintf(dot, sizeof name - (dot - name), ".d");
    }
    FILE *out = fopen(name, "w");
    if (!out) die(name);
    fprintf(out, "%s: %s\n", output, source);
    fclose(out);
}

static int takes_a_word(const char *word) {
    static const char *table[] = {"-I", "-D", "-U", "-include", "-imacros", "-isystem", "-iquote", "-idirafter", "-x",
        "-MT", "-MQ", "-L", "-l", "-T", "-Xlinker", "-Xassembler", "-Xclang", "-arch", "-z", "-u", "-isysroot",
        "-iprefix", "-iwithprefix", "-Xpreprocessor", "-target", "--param", "-e", "-h", "-soname"};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!strcmp(word, table[i])) return 1;
    return 0;
}

int main(int argc, char **argv) {
    program = basename(strdup(argv[0]));
    const char *stub = getenv("CORPORA_STUB"), *output = NULL, *source = NULL, *file = NULL;
    int compiles = 0, depends = 0, other = 0;
    for (int i = 1; i < argc; i++) {
        char *word = argv[i];
        if (!strcmp(word, "-c")) compiles = 1;
        else if (!strcmp(word, "-o") && i + 1 < argc) output = argv[++i];
        else if (!strncmp(word, "-o", 2) && word[2]) output = word + 2;
        else if (!strcmp(word, "-MD") || !strcmp(word, "-MMD")) depends = 1;
        else if (!strcmp(word, "-MF") && i + 1 < argc) file = argv[++i];
        else if (!strncmp(word, "-MF", 3)) file = word + 3;
        else if (!strncmp(word, "-Wp,-MD,", 8)) depends = 1, file = word + 8;
        else if (!strncmp(word, "-Wp,-MMD,", 9)) depends = 1, file = word + 9;
        else if (!strcmp(word, "-E") || !strcmp(word, "-S") || !strcmp(word, "-M") || !strcmp(word, "-MM") ||
                 !strcmp(word, "-v") || !strcmp(word, "-") || !strncmp(word, "-print", 6) || !strncmp(word, "-dump", 5) ||
                 !strncmp(word, "--version", 9) || !strncmp(word, "--help", 6) || !strncmp(word, "--print", 7) || !strcmp(word, "/dev/null")) other = 1;
        else if (takes_a_word(word)) i++;
        else if (word[0] != '-') source = word;
    }
    if (compiles && !other) record(argc, argv);
    if (!stub || other || !source || (compiles && holds(getenv("CORPORA_REAL"), output ? output : source))) really(argv);
    if (!compiles) {
        /* Only objects and archives: a link. With sources it is a program that the build may need: stub as well. */
        if (output && holds(getenv("CORPORA_REAL"), output)) really(argv);
        link_program(output ? output : "a.out");
        return 0;
    }
    if (!output) {
        char *name = basename(strdup(source)), *dot = strrchr(name, '.'), *made = malloc(strlen(name) + 3);
        if (dot) *dot = 0;
        sprintf(made, "%s.o", name);
        output = made;
    }
    if (depends) dependencies(file, output, source);
    copy(stub, output, 0666);
    return 0;
}
