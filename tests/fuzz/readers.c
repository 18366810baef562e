/* Mutated traces through the readers and the follower. The program before this file is the follower as `septum replay` loads it.
 *
 *      readers SEED INPUTS FILE...
 *
 * Each input is a piece of one of the files with a few changes: lines and fields left out, repeated, swapped, cut or taken from elsewhere,
 * numbers at the ends of ranges, bytes. It comes in pieces, as from a pipe. What came out is printed at the end; the sanitizers see to the
 * rest. The input that is tried lies in `fuzz-input` of the current directory until the next one. */

#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { INPUT = 1 << 17, LINES_MOST = 400, FILES = 256, ROUNDS = 400 };

typedef struct piece {
    char *text;
    size_t size;
} piece_t;

static piece_t file[FILES];
static int files;
static uint64_t seed;

static uint64_t random_number(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

static size_t below_number(size_t limit) { return limit ? random_number() % limit : 0; }

/* -- an input is made of lines */

static char input[INPUT];
static piece_t line[LINES_MOST];
static int lines;
static char scratch[INPUT];
static size_t scratch_used;

static char *room(size_t size)
{
    if (scratch_used + size > INPUT)
        return NULL;
    char *found = &scratch[scratch_used];
    scratch_used += size;
    return found;
}

static piece_t any_line(void)
{
    piece_t f = file[below_number((size_t)files)];
    char *from = f.text + below_number(f.size);
    while (from > f.text && from[-1] != '\n')
        from--;
    char *to = memchr(from, '\n', (size_t)(f.text + f.size - from));
    return (piece_t){from, to ? (size_t)(to - from) : (size_t)(f.text + f.size - from)};
}

static void take_lines(void)
{
    piece_t f = file[below_number((size_t)files)], one;
    char *at = f.text + (below_number(3) ? below_number(f.size) : 0), *end = f.text + f.size;
    int wanted = 1 + (int)below_number(below_number(8) ? 60 : LINES_MOST - 1);
    while (at > f.text && at[-1] != '\n')
        at--;
    for (lines = 0; lines < wanted && at < end; at = one.text + one.size + 1) {
        char *to = memchr(at, '\n', (size_t)(end - at));
        one = (piece_t){at, to ? (size_t)(to - at) : (size_t)(end - at)};
        line[lines++] = one;
    }
}

static const char *const ends[] = {
    "0", "1", "5", "6", "7", "255", "256", "511", "512", "65535", "65536", "4194304", "4194305", "4294967295", "4294967296",
    "18446744073709551615", "18446744073709551616", "ffffffffffffffff", "8000000000000000", "80000000000001a0", "80000000000005a0",
    "5a0", "-1", "0x", "(", "99999999999999999999999999", "7fffffffffffffff", "", "e67", "827", "8000000000000d07", "a", "1fffffffffff",
};
static const char *const specials[] = {
    "CPU:0 [LOST 17 EVENTS]", "CPU:1 [LOST EVENTS]", "CPU:8191 [9 EVENTS DROPPED]", "CPU:99999 [LOST 1 EVENTS]", "....", "[snip]", "",
    "##### CPU 1 buffer started ####", "# entries-in-buffer/entries-written: 5/99   #P:4", "# entries-in-buffer/entries-written: 18446744073709551615/1   #P:0",
    " => kvm_tdp_mmu_map", "	ffffffffc0946d94 [unknown] ([kvm])", "> quoted", "prose about kvm_mmu_set_spte", "x-1 [000] 1.0: <stack trace>",
    "x-1 [001] 5.0: kvm_mmu_zap_all_fast: a", "a 1/2 [001] 5.0: PERF_RECORD_LOST lost 17", "x-1 [000] 1.0: tracing_mark_write: phase x",
    "x-7 [000] 2.0: tdh_mem_track: (a <- b) ret=0x0", "x-7 [000] 2.0: tdh_mem_sept_add: (a <- b) gpa=0x0 level=2 ret=0x0",
    "x-7 [000] 2.0: tdh_mem_page_aug: (a <- b) gpa=0x1000 level=0 pfn=0x12 ret=0x0", "\r", "[000]", "x-1 [000]", "x-1 [000] ...1.",
};

/* Another number in the place of one. */
static piece_t other_number(piece_t of)
{
    size_t from = below_number(of.size), to;
    while (from < of.size && !is_digit(of.text[from]))
        from++;
    for (to = from; to < of.size && digit_of(of.text[to]) >= 0; to++)
        ;
    const char *by = ends[below_number(sizeof ends / sizeof *ends)];
    size_t size = from + strlen(by) + of.size - to;
    char *made = room(size);
    if (!made)
        return of;
    memcpy(made, of.text, from);
    memcpy(made + from, by, strlen(by));
    memcpy(made + from + strlen(by), of.text + to, of.size - to);
    return (piece_t){made, size};
}

static piece_t other_byte(piece_t of)
{
    char *made = room(of.size);
    if (!made || !of.size)
        return of;
    memcpy(made, of.text, of.size);
    made[below_number(of.size)] = (char)(below_number(4) ? " \t:[]()-/.=>#\0x0"[below_number(16)] : random_number());
    return (piece_t){made, of.size};
}

/* The head of one line with the tail of another. */
static piece_t crossed(piece_t one, piece_t other)
{
    size_t head = below_number(one.size + 1), tail = below_number(other.size + 1);
    char *made = room(head + other.size - tail);
    if (!made)
        return one;
    memcpy(made, one.text, head);
    memcpy(made + head, other.text + tail, other.size - tail);
    return (piece_t){made, head + other.size - tail};
}

static void mutate(void)
{
    int i = (int)below_number((size_t)lines), j = (int)below_number((size_t)lines);
    piece_t kept = line[i];
    switch (below_number(10)) {
    case 0: line[i] = other_byte(line[i]); break;
    case 1: line[i].size = below_number(line[i].size + 1); break;
    case 2: line[i] = line[j]; break;
    case 3: line[i] = line[j]; line[j] = kept; break;
    case 4: line[i] = any_line(); break;
    case 5: line[i] = crossed(line[i], line[j]); break;
    case 6: line[i].text = (char *)specials[below_number(sizeof specials / sizeof *specials)]; line[i].size = strlen(line[i].text); break;
    case 7: line[i] = line[--lines]; lines += !lines; break;
    default: line[i] = other_number(line[i]);
    }
}

static size_t written(void)
{
    size_t size = 0;
    for (int i = 0; i < lines && size + line[i].size + 1 < INPUT; i++) {
        memcpy(&input[size], line[i].text, line[i].size);
        size += line[i].size;
        input[size++] = '\n';
    }
    return size && !below_number(8) ? size - 1 : size;
}

/* -- through the follower, as septum.replay.session drives it */

enum { CAME_FOLLOWED, CAME_DIVERGED, CAME_NOTHING, CAME_FULL, CAME };
static uint64_t came[CAME];

static int went_on(replay_t *p, int keep_going)
{
    if (p->stop != STOP_DIVERGED)
        return 0;
    for (int n = 0; n < 3; n++)
        replay_guard(p, (int)below_number(STEP_KINDS));
    if ((p->scan.written > p->scan.in_buffer || p->scan.starts) && replay_infer_loss(p))
        return 1;
    if (p->stop != STOP_DIVERGED || !keep_going)
        return 0;
    replay_resynchronise(p);
    return 1;
}

static void one_input(replay_t *p, world_t *world, size_t size)
{
    int keep_going = (int)below_number(4), rounds = 0;
    replay_start(p, world);
    world->midlife = below_number(2);
    fill_layout(p, world, (int)below_number(LAYOUTS));
    p->hold = 0;
    for (size_t at = 0, upto; at < size && !p->stop; ) {
        upto = below_number(3) ? size : at + 1 + below_number(size - at);
        size_t done = replay_feed(p, input + at, upto - at, upto == size);
        at += done;
        if (p->stop && !(rounds++ < ROUNDS && went_on(p, keep_going)))
            break;
        if (!done && upto == size)
            break;
    }
    do
        replay_drain(p);
    while (rounds++ < ROUNDS && went_on(p, keep_going));
    came[p->stop == STOP_DEFECT ? CAME_FULL : p->diverged || p->stop ? CAME_DIVERGED : p->changes ? CAME_FOLLOWED : CAME_NOTHING]++;
    if (p->stop == STOP_DEFECT) {
        fprintf(stderr, "an assertion failed: site %u\n", p->site);
        abort();
    }
}

static void read_file(const char *name)
{
    FILE *from = fopen(name, "rb");
    if (!from || files == FILES)
        exit(2);
    fseek(from, 0, SEEK_END);
    size_t size = (size_t)ftell(from);
    rewind(from);
    file[files] = (piece_t){malloc(size + 1), size};
    if (fread(file[files].text, 1, size, from) != size || !size)
        exit(2);
    fclose(from);
    files++;
}

int main(int count, char **arguments)
{
    if (count < 4)
        return 2;
    seed = strtoull(arguments[1], NULL, 10) * 2 + 1;
    uint64_t inputs = strtoull(arguments[2], NULL, 10);
    for (int i = 3; i < count; i++)
        read_file(arguments[i]);
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    replay_t *p = mmap(NULL, sizeof *p, PROT_READ | PROT_WRITE, flags, -1, 0);
    world_t *world = mmap(NULL, sizeof *world, PROT_READ | PROT_WRITE, flags, -1, 0);
    FILE *kept = fopen("fuzz-input", "wb");
    struct timespec before, after;
    double slowest = 0;
    if (!kept || p == MAP_FAILED || world == MAP_FAILED)
        return 2;
    for (uint64_t n = 0; n < inputs; n++) {
        scratch_used = 0;
        take_lines();
        for (size_t changes = 1 + below_number(12); changes; changes--)
            mutate();
        size_t size = written();
        rewind(kept);
        if (fwrite(input, 1, size, kept) != size || fflush(kept) || ftruncate(fileno(kept), (off_t)size))
            return 2;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
        one_input(p, world, size);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
        double took = (double)(after.tv_sec - before.tv_sec) + 1e-9 * (double)(after.tv_nsec - before.tv_nsec);
        slowest = took > slowest ? took : slowest;
        madvise(p, sizeof *p, MADV_DONTNEED);
        madvise(world, sizeof *world, MADV_DONTNEED);
    }
    printf("inputs %llu, followed %llu, diverged %llu, nothing to follow %llu, the slowest %.3f s\n", (unsigned long long)inputs,
           (unsigned long long)came[CAME_FOLLOWED], (unsigned long long)came[CAME_DIVERGED], (unsigned long long)came[CAME_NOTHING], slowest);
    return 0;
}
