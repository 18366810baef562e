/*
 * A run of the explorer as its caller sees it, and the account of its memory.
 *
 * The files that explore.sources() names follow the generated model in one translation unit, in that order; the model brings
 * STATE_SIZE, MAX_THREADS, step_t, STEP_*, the functions model_*, and COVERAGE: the bytes of model_covered but for the last, which is the
 * explorer's own.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

_Static_assert(STATE_SIZE % 8 == 0, "a state is hashed and compared by words");
_Static_assert(MAX_THREADS <= 32, "sets of threads are 32-bit masks");

#define EXPORTED __attribute__((visibility("default")))

enum outcome { RUN_COMPLETE, RUN_VIOLATED, RUN_DEADLOCK, RUN_OUT_OF_STATES, RUN_OUT_OF_MEMORY, RUN_OUT_OF_TIME, RUN_STOPPED,
	       RUN_DEPTH_REACHED, RUN_OUT_OF_DISK };

/* Why a checkpoint is not resumed from. */
enum refusal { NOT_REFUSED, REFUSED_OTHER, REFUSED_DAMAGED, REFUSED_IN_USE, REFUSED_UNREADABLE };

enum { IDENTITY_BYTES = 32, KEY_BYTES = 16 };

/* Failures are the model's own, from 0. */
enum { NO_FAILURE = -1 };

/* In model_covered: a deadlock was met, and set aside. */
enum { DEADLOCKED = COVERAGE };

/* How far a run came. Workers add to it between batches, so a caller that polls sees it grow. */
struct septum_progress {
	uint64_t states;
	uint64_t transitions;
	uint64_t final_states;
	uint64_t frontier;	/* states found and not yet expanded */
	uint64_t depth;
	uint64_t bytes;		/* held at this moment */
};

/* Where a run was resumed, and what the killed one had done since that is to be done again. All 0 if it was not. */
struct septum_resumed {
	uint64_t depth, states;
	double seconds;
	uint64_t lost_depth, lost_states;
	double lost_seconds;
};

#define MOST_CHOICES (1u << 16)	/* of one step, as in the language */

/* Whether races are looked for: to be told of at the end, or to end the run. */
enum { WATCH_NOTHING, WATCH_TO_THE_END, WATCH_UNTIL_FOUND };

/*
 * A step that is no whole: another thread comes between two of its accesses, and touches what both touch. `apart`: by two steps of
 * its own. Sites are numbers of expressions; the first two are those of the step.
 */
struct race {
	uint32_t found, apart;
	uint32_t thread, choice, partner, partner_choice;
	uint32_t site[2], partner_site[2];
	uint32_t written, offset[4];	/* of the four accesses: bits, and where in the world */
	uint64_t moves;			/* to the state from which the step is taken */
	uint64_t where[2], state;
};

struct septum_run {
	/* In. A limit of 0 is no limit. */
	const uint8_t *initial;
	uint64_t most_states;	/* looked at between batches: a run may find a few thousand states more */
	uint64_t most_bytes;	/* never exceeded */
	uint64_t most_depth;	/* schedules of up to so many moves are judged */
	double most_seconds;
	uint64_t spill_bytes;	/* of memory for the frontier, before it goes to disk; but never to disk if 0 */
	uint32_t threads;
	uint32_t daemons;	/* the threads that may be blocked for ever, as a mask */
	uint32_t workers;
	uint32_t symmetry;
	uint32_t reductions;	/* REDUCE_LOCAL, REDUCE_PARTIAL */
	uint32_t watch;		/* WATCH_*, of a library that tells its accesses */
	uint32_t deadlocks_aside;	/* threads that can never go on are no finding */
	uint32_t resume;	/* from the checkpoint, if there is one */
	uint32_t keep_at_end;	/* where a limit ends the run, save what is known then */
	const char *checkpoint;	/* a path, or NULL */
	const char *unfinished_checkpoint;
	const uint8_t *identity;	/* of the model and of all that decides about the outcome */
	const uint8_t *key;		/* KEY_BYTES, by which the user's own checkpoints are known */
	double checkpoint_seconds;	/* between two at least; 0: one at the end of every level, whatever it costs */
	int32_t spill_files[2];	/* open, empty and used by nobody else, where there is spill_bytes */

	/* The caller may set these at any time. With `change` the run is left at the end of a level, for a better library of its model. */
	volatile uint32_t stop, change;
	struct explorer *left;		/* the run as it was left, or NULL: another library's septum_explore goes on with it */

	/* Out; progress also while the run lasts. */
	struct septum_progress progress;
	int32_t outcome;
	int32_t failure;
	uint64_t peak_bytes;
	uint64_t frontier_bytes;	/* of memory, that the frontier ever held */
	uint64_t spilled_bytes;	/* that were written to disk because of that */
	uint64_t checkpoints, failed_checkpoints;
	struct septum_resumed resumed;
	uint32_t refusal;
	uint64_t witnesses;
	double seconds;
	uint32_t *schedule;	/* pairs (thread, choice), one a step, that lead to the violation or the deadlock */
	uint64_t steps;		/* pairs in schedule */
	struct race race;	/* one that is nearest to the first state */
	uint32_t unwatched;	/* some steps touched more than there was room for */
	uint32_t traced;	/* the schedule was rebuilt; see schedule.c for when it cannot be */
};

/* All large memory comes from here, so that a budget of bytes is kept to the letter. It is zero, and costs nothing until touched. */
static void *hold(struct septum_run *run, size_t bytes)
{
	uint64_t held = __atomic_add_fetch(&run->progress.bytes, bytes, __ATOMIC_RELAXED);
	void *memory = MAP_FAILED;

	if (!run->most_bytes || held <= run->most_bytes)
		memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED) {
		__atomic_sub_fetch(&run->progress.bytes, bytes, __ATOMIC_RELAXED);
		return NULL;
	}
	uint64_t peak = __atomic_load_n(&run->peak_bytes, __ATOMIC_RELAXED);
	while (peak < held && !__atomic_compare_exchange_n(&run->peak_bytes, &peak, held, 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
	return memory;
}

/* Memory that takes the place of `old` bytes, which are unmapped as it is filled: together they take no more than it does. */
static void *hold_instead(struct septum_run *run, size_t bytes, size_t old)
{
	__atomic_sub_fetch(&run->progress.bytes, old, __ATOMIC_RELAXED);
	void *memory = hold(run, bytes);

	if (!memory)
		__atomic_add_fetch(&run->progress.bytes, old, __ATOMIC_RELAXED);
	return memory;
}

static void let_go(struct septum_run *run, void *memory, size_t bytes)
{
	if (!memory)
		return;
	munmap(memory, bytes);
	__atomic_sub_fetch(&run->progress.bytes, bytes, __ATOMIC_RELAXED);
}

/* Large pages save most page faults, and most misses when a table is probed at random. */
static void prefer_large_pages(void *memory, size_t bytes)
{
#ifdef MADV_HUGEPAGE
	madvise(memory, bytes, MADV_HUGEPAGE);
#else
	(void)memory, (void)bytes;
#endif
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}
