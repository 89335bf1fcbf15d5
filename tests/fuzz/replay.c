/*
 * replay - runs a fuzz target over files, without libFuzzer: any compiler, any sanitizer.
 *
 * Arguments are files and folders (one level); a missing folder counts as empty. The target
 * aborts where it finds something, so arriving at the end is the verdict.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INPUT_MAX = 1 << 20, PATH_LEN = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t files;

static void fail(const char *what, const char *path)
{
    fprintf(stderr, "replay: %s %s\n", what, path);
    exit(1);
}

static void replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        fail("cannot read", path);
    uint8_t *all = malloc(INPUT_MAX);
    if (!all)
        fail("no memory for", path);
    const size_t n = fread(all, 1, INPUT_MAX, f);
    fclose(f);
    /* A block of exactly its size lets the sanitizer see a read past the end. */
    uint8_t *exact = malloc(n ? n : 1);
    if (!exact)
        fail("no memory for", path);
    memcpy(exact, all, n);
    free(all);
    LLVMFuzzerTestOneInput(exact, n);
    free(exact);
    files++;
}

static void replay(const char *path)
{
    DIR *dir = opendir(path);
    if (!dir && errno == ENOENT)
        return;
    if (!dir) {
        replay_file(path);
        return;
    }
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        char inner[PATH_LEN];
        if (e->d_name[0] == '.')
            continue;
        if (snprintf(inner, sizeof(inner), "%s/%s", path, e->d_name) >= (int)sizeof(inner))
            fail("name too long under", path);
        replay_file(inner);
    }
    closedir(dir);
}

int main(int argc, char **argv)
{
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++)
        replay(argv[i]);
    printf("%zu files replayed\n", files);
    return 0;
}
