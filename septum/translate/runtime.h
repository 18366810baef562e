/* What every generated model stands on: its context, its checks, its way out of a failed assertion. */
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { STEP_DONE, STEP_BLOCKED, STEP_FAILED, STEP_PRUNED, STEP_RETURNED };
enum { ENDED = 255, MAX_ARGUMENTS = 8, MAX_CALLS = 32 };
#ifndef FUEL
#define FUEL (1 << 20)
#endif

typedef struct step {
    uint32_t choice;
    int32_t failure;
    uint64_t witnesses;
} step_t;

/* One step in progress. With `probe` a process only says how many choices the yield has where it stands. */
typedef struct context {
    uint64_t result, witnesses;
    uint32_t choice, choices, fuel, left;
    int32_t failure;
    uint32_t place;
    uint8_t thread, probe, checking;
    uint64_t *written;          /* NOTES_WRITES: the words of the state that the step may have written, as bits */
    jmp_buf out;
} context_t;

/*
 * NOTES_WRITES: a step notes which words it writes, and nothing else is looked at to tell what it changed: a store that is not noted is
 * a state that nobody sees. A scalar lies in one word, as C aligns it.
 */
enum { NOTED_BYTES = 8 };
#ifdef NOTES_WRITES
#define NOTE_WORDS ((STATE_SIZE + 64 * NOTED_BYTES - 1) / (64 * NOTED_BYTES))
static inline void *noted(context_t *c, const void *world, void *to)
{
    size_t word = (size_t)((uint8_t *)to - (const uint8_t *)world) / NOTED_BYTES;
    c->written[word / 64] |= 1ull << word % 64;
    return to;
}
#define NOTED(place) (*(__typeof__(place) *)noted(c, w, &(place)))
#else
#define NOTE_WORDS 1
#define NOTED(place) (place)
static inline void noted(context_t *c, const void *world, void *to) { (void)c, (void)world, (void)to; }
#endif

static inline __attribute__((unused)) void note_all(context_t *c, void *world, uint8_t *from, size_t size)
{
    for (size_t at = 0; at < size; at += NOTED_BYTES)
        noted(c, world, from + at);
    noted(c, world, from + size - 1);
}

/* A yield, with what leaves the frame. STRAIGHT: a thread goes on over its next yields, `left` of them, and waits where it must. */
#ifdef STRAIGHT
#define AT_YIELD(...) do { if (__builtin_expect(--c->left == 0, 0)) { __VA_ARGS__ return STEP_DONE; } } while (0)
#define MUST_WAIT(...) do { __VA_ARGS__ return STEP_BLOCKED; } while (0)
#else
#define AT_YIELD(...) do { __VA_ARGS__ return STEP_DONE; } while (0)
#define MUST_WAIT(...) return STEP_BLOCKED
#endif

/* A scalar of the state that is read or written; OWN: the word of a lock of one's own, _IN: in a word. WATCHED: every access is told to the one who watches (watch.c). */
#ifdef WATCHED
#define TOUCHED(place, joined, written, site) \
    (*({ __typeof__(place) *at_ = &(place); (__typeof__(place) *)touched(w, at_, at_, sizeof *at_, joined, written, site); }))
#define TOUCHED_IN(word, field, written, site) \
    (*({ __typeof__(word) *in_ = &(word); \
         (__typeof__(in_->field) *)touched(w, &in_->field, in_, sizeof in_->field, 1, written, site); }))
#define READ(place, site) TOUCHED(place, 0, 0, site)
#define READ_OWN(place, site) TOUCHED(place, 1, 0, site)
#define READ_IN(word, field, site) TOUCHED_IN(word, field, 0, site)
#define WRITE(place, site) NOTED(TOUCHED(place, 0, 1, site))
#define WRITE_OWN(place, site) NOTED(TOUCHED(place, 1, 1, site))
#define WRITE_IN(word, field, site) NOTED(TOUCHED_IN(word, field, 1, site))
#define PIECE(call, kind) ({ uint32_t outer_ = begin_piece(kind); __typeof__(call) result_ = call; end_piece(outer_); result_; })
#define PIECE_DONE(call, kind) ({ uint32_t outer_ = begin_piece(kind); call; end_piece(outer_); })
enum { ATOMIC, COMMUTES, WAITS };
static inline void *touched(const void *world, void *place, void *word, size_t size, int joined, int written, uint32_t site);
static inline uint32_t begin_piece(int kind);
static inline void end_piece(uint32_t outer);
static inline void say_atomic(void);
static inline void one_piece(void);
static inline void no_piece(void);
#else
#define READ(place, site) (place)
#define READ_OWN(place, site) (place)
#define READ_IN(word, field, site) ((word).field)
#define WRITE(place, site) NOTED(place)
#define WRITE_OWN(place, site) NOTED(place)
#define WRITE_IN(word, field, site) NOTED((word).field)
#define PIECE(call, kind) (call)
#define PIECE_DONE(call, kind) (call)
#define say_atomic() ((void)0)
#define one_piece() ((void)0)
#define no_piece() ((void)0)
#endif

typedef struct call {
    uint32_t entry;
    uint64_t arguments[MAX_ARGUMENTS];
} call_t;

static uint8_t model_ignored[], model_covered[];

/* What became of a failure that is not judged: the run went on behind it, or its schedule ended. Supposing: no schedule leads to what runs. */
enum { WENT_ON = 1, ENDED_THERE = 2 };
static __thread int model_supposes;

static void set_aside(int32_t site, uint8_t how);

static __attribute__((noreturn, noinline, cold)) void fail(context_t *c, int32_t site)
{
    c->failure = site;
    longjmp(c->out, 1);
}

/* In a property, the other clauses are looked at all the same. */
static __attribute__((noinline, cold)) void fails(context_t *c, int32_t site)
{
    if (!c->checking || !model_ignored[site])
        fail(c, site);
    set_aside(site, WENT_ON);
}

static inline void holds(context_t *c, int condition, int32_t site)
{
    if (__builtin_expect(!condition, 0))
        fails(c, site);
}

/* WARN_ON(): where it is not judged, the kernel goes on; whether it would have warned. */
static inline int holds_not(context_t *c, int condition, int32_t site)
{
    if (!condition && model_ignored[site]) {
        set_aside(site, WENT_ON);
        return 1;
    }
    holds(c, condition, site);
    return 0;
}

static inline void fuel(context_t *c, int32_t site)
{
    if (__builtin_expect(++c->fuel > FUEL, 0))
        fail(c, site);
}

static inline uint64_t bounded(context_t *c, uint64_t index, uint64_t length, int32_t site)
{
    if (__builtin_expect(index >= length, 0))
        fail(c, site);
    return index;
}

static inline uint64_t nonzero(context_t *c, uint64_t divisor, int32_t site)
{
    if (__builtin_expect(divisor == 0, 0))
        fail(c, site);
    return divisor;
}

static inline uint64_t shift_count(context_t *c, __int128 count, int32_t site)
{
    if (__builtin_expect(count < 0, 0))
        fail(c, site);
    return count > 64 ? 64 : (uint64_t)count;
}

static inline uint64_t shifted_right(uint64_t value, uint64_t count)
{
    return count > 63 ? 0 : value >> count;
}

static inline uint64_t fit(context_t *c, uint64_t value, uint64_t last, int32_t site)
{
    if (__builtin_expect(value > last, 0))
        fail(c, site);
    return value;
}

static inline uint64_t fit_signed(context_t *c, int64_t value, uint64_t last, int32_t site)
{
    if (__builtin_expect(value < 0 || (uint64_t)value > last, 0))
        fail(c, site);
    return (uint64_t)value;
}

static inline uint64_t fit_wide(context_t *c, __int128 value, uint64_t last, int32_t site)
{
    if (__builtin_expect(value < 0 || value > (__int128)last, 0))
        fail(c, site);
    return (uint64_t)value;
}

#define LOAD_AND_STORE(bits)                                         \
    static inline uint##bits##_t load##bits(const uint8_t *from)     \
    {                                                                \
        uint##bits##_t value;                                        \
        memcpy(&value, from, sizeof value);                          \
        return value;                                                \
    }                                                                \
    static inline void store##bits(uint8_t *to, uint##bits##_t value) \
    {                                                                \
        memcpy(to, &value, sizeof value);                            \
    }
LOAD_AND_STORE(8)
LOAD_AND_STORE(16)
LOAD_AND_STORE(32)
LOAD_AND_STORE(64)
