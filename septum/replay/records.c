/* What is kept of a line that is an event, and what is counted of all lines. native.py has the same structs.
 *
 * Offers record_t and scan_t, the bounds of their numbers, and the flags that they hold: SEEN_, FORM_, ACCESS_. */

enum { NAME = 48, UNKNOWN_NAMES = 64 };
enum { CPUS = 8192, PIDS = (1 << 22) + 1, VCPUS = 1 << 14, SPACES = 2, LEVELS_OF_KVM = 5 };
static const uint64_t GFNS = 1ull << 45;

typedef struct record {
    uint64_t offset, line, time, gfn, pfn, old, value, sptep;
    uint32_t length, pid, tgid, comm;
    uint16_t cpu, task;
    int16_t vcpu;
    uint16_t loses;                 /* losses that begin behind this event of its CPU */
    uint16_t seen;                  /* SEEN_ flags, of the line's head */
    uint8_t kind, as_id, level, failed, done, access, spurious, learned;
} record_t;

enum { FORM_NO_TASK, FORM_NO_TIME, FORM_RAW, FORM_HEX, FORM_PERF_TRACE, FORM_VERBOSE, FORM_QUOTED, FORM_FIELDS, FORMS };

typedef struct scan {
    uint64_t lines, entries, events, headers, stacks, texts, tools, quotes, longest, folded, twice, unreadable, losses, lost;
    uint64_t unknown, shadow, backwards, without_gfn, in_buffer, written, cpus, starts, ties;
    uint64_t forms[FORMS];
    uint64_t kinds[32];
    uint32_t unknown_names, formats;
    char name[UNKNOWN_NAMES][NAME];
    uint64_t times[UNKNOWN_NAMES];
} scan_t;

enum { SEEN_TGID = 1, SEEN_PERF = 2, SEEN_ACCESS = 4, SEEN_OLD_FAULT = 8, SEEN_LAZY = 16, SEEN_NPF = 32, SEEN_EPT = 64,
       SEEN_ENTRY_INFO = 128, SEEN_TICKS = 256, SEEN_SECONDS = 512, SEEN_NO_CPU = 1024 };
enum { ACCESS_WRITE = 2, ACCESS_FETCH = 16 };
