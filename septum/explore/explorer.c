/*
 * Breadth-first search over all schedules, level by level, by several workers that share one table of fingerprints.
 *
 * What does not depend on timing: of a run that completes, everything. Of a run that finds something, the outcome, the failure
 * and the number of moves in the schedule, because the level in which something is found is finished and the least finding
 * taken; where a limit ends the run before that, it is the least found so far. Which of the equally short ways leads there
 * depends on who was first, unless there is one worker only.
 *
 * In which order to read:
 *   run.h, and septum_explore at the end of this file   a run, from outside
 *   moves.c, expand.c                                   one state: the moves of its threads, and what they lead to
 *   fingerprints.c, frontier.c, spill.c                 all states: which were seen, which wait, in memory and on disk
 *   workers.c, and this file                            several workers, level by level
 *   schedule.c                                          what was found, as a schedule
 *   watched.c, reach.c, between.c, races.c              races, where accesses are watched
 *   seal.c, checkpoint.c, resume.c                      a run that is killed goes on
 *   exports.c                                           one state from outside
 * Of the model they need what runtime.h, threads.c, footprints.c, symmetry.c, automorphisms.c and watch.c say in their first lines.
 *
 * Offers septum_explore to Python.
 */

static uint64_t add_up(uint64_t *total, uint64_t *part)
{
	uint64_t sum = __atomic_add_fetch(total, *part, __ATOMIC_RELAXED);

	*part = 0;
	return sum;
}

/* Tells how far it came, and whether to go on. */
static int report(struct worker *w)
{
	struct explorer *x = w->explorer;
	struct septum_run *run = x->run;
	uint64_t states = add_up(&run->progress.states, &w->states);

	add_up(&run->progress.transitions, &w->transitions);
	add_up(&run->progress.final_states, &w->final_states);
	add_up(&run->progress.frontier, (uint64_t *)&w->frontier);
	if (w == x->worker)
		note_progress(x);
	if (run->stop)
		give_up(w, RUN_STOPPED);
	else if (run->most_states && states > run->most_states)
		give_up(w, RUN_OUT_OF_STATES);
	else if (run->most_seconds > 0 && now() - x->began >= run->most_seconds)
		give_up(w, RUN_OUT_OF_TIME);
	return !w->halted && !__atomic_load_n(&x->ending, __ATOMIC_RELAXED);
}

/* What is in memory comes first, so that there is room for the next level. */
static struct batch *take_batch(struct worker *w)
{
	struct explorer *x = w->explorer;

	pthread_mutex_lock(&x->lock);
	struct batch *batch = pop_batch(&x->level);
	uint64_t slot = x->spill.taken;
	int on_disk = !batch && slot < x->spill.readable;
	x->spill.taken += on_disk;
	pthread_mutex_unlock(&x->lock);
	if (!on_disk)
		return batch;
	if (read_spilled(x->run, &x->spill, slot, &w->spilled))
		return &w->spilled;
	give_up(w, RUN_OUT_OF_DISK);
	__atomic_store_n(&x->torn, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void *work(void *argument)
{
	struct worker *w = argument;
	struct explorer *x = w->explorer;
	struct batch *batch;

	while (!x->over) {
		while (report(w) && (batch = take_batch(w))) {
			expand_batch(w, batch);
			if (batch != &w->spilled)
				push_batch(&w->pool.spare, batch);
		}
		hand_over(w);
		if (!x->over)		/* it may have ended at a meeting in the middle of a batch */
			meet(x, 0);
	}
	return NULL;
}

/* As many as the machine grants: a thread that cannot be had is done without. All wait for the lock until their number is known. */
static void work_together(struct explorer *x)
{
	unsigned wanted = x->workers;

	pthread_mutex_lock(&x->lock);
	for (x->workers = 1; x->workers < wanted; x->workers++)
		if (pthread_create(&x->worker[x->workers].thread, NULL, work, &x->worker[x->workers]))
			break;
	pthread_mutex_unlock(&x->lock);
	work(&x->worker[0]);
	for (unsigned i = 1; i < x->workers; i++)
		pthread_join(x->worker[i].thread, NULL);
}

static void free_explorer(struct explorer *x, unsigned workers, size_t bytes)
{
	for (unsigned i = 0; x->worker && i < workers; i++) {
		free_pool(x->run, &x->worker[i].pool);
		let_go(x->run, x->worker[i].watcher, sizeof(struct watcher));
	}
	free_log(x->run, &x->log);
	free_table(x->run, &x->table);
	let_go(x->run, x->worker, bytes);
	if (x->checkpoint_file >= 0)
		close(x->checkpoint_file);
	pthread_mutex_destroy(&x->lock);
	pthread_cond_destroy(&x->all_met);
}

static int prepare(struct explorer *x, unsigned workers, size_t bytes)
{
	struct septum_run *run = x->run;

	pthread_mutex_init(&x->lock, NULL);
	pthread_cond_init(&x->all_met, NULL);
	x->worker = hold(run, bytes);
	x->log.chunk = hold(run, DIRECTORY_BYTES);
	if (!make_table(run, &x->table, FIRST_SLOTS, 0) || !x->worker || !x->log.chunk)
		return 0;
	x->table.room = capacity(FIRST_SLOTS, 0);
	x->everyone = run->threads == 32 ? UINT32_MAX : (1u << run->threads) - 1;
	x->workers = workers;
	for (unsigned i = 0; i < workers; i++) {
		x->worker[i].explorer = x;
		if (run->watch && !(x->worker[i].watcher = hold(run, sizeof(struct watcher))))
			return 0;
	}
	return 1;
}

static void conclude(struct explorer *x, unsigned workers)
{
	struct septum_run *run = x->run;
	struct finding *least = &x->worker[0].finding;

	for (unsigned i = 0; i < workers; i++) {
		run->witnesses |= x->worker[i].step.witnesses;
		if (is_less(&x->worker[i].finding, least))
			*least = x->worker[i].finding;
	}
	for (unsigned i = 0; run->watch && i < workers; i++) {
		run->unwatched |= x->worker[i].watcher->lost;
		if (races_less(&x->worker[i].watcher->race, &run->race))
			run->race = x->worker[i].watcher->race;
	}
	run->outcome = least->outcome ? least->outcome : x->ending ? x->ending : x->deeper ? RUN_DEPTH_REACHED : RUN_COMPLETE;
	if (!least->outcome && !run->race.found)
		return;
	struct finding race = { .moves = run->race.moves, .state = run->race.state };
	run->failure = least->outcome ? least->failure : NO_FAILURE;
	run->traced = trace_finding(x, &x->worker[0].path, least->outcome ? least : &race);
}

static int begin_exploring(struct explorer *x, struct septum_run *run, unsigned workers, size_t bytes)
{
	*x = (struct explorer){ .run = run, .began = now(), .checkpoint_file = -1 };
	run->progress = (struct septum_progress){ 0 };
	run->outcome = RUN_OUT_OF_MEMORY;
	run->failure = NO_FAILURE;
	run->peak_bytes = run->frontier_bytes = run->spilled_bytes = run->witnesses = run->steps = run->traced = 0;
	run->schedule = NULL;
	run->race = (struct race){ 0 };
	run->unwatched = 0;
	run->checkpoints = run->failed_checkpoints = run->refusal = 0;
	run->resumed = (struct septum_resumed){ 0 };
	x->next_save = x->began + run->checkpoint_seconds;
	memset(model_covered, 0, sizeof model_covered);
	return prepare(x, workers, bytes) && resume_or_begin(x);
}

/* As the other library left it; what they have in common is the model, so whatever lies in memory means the same to both. */
static int go_on(struct explorer *x)
{
	memcpy(model_covered, x->covered, sizeof model_covered);
	x->over = 0;
	x->run->left = NULL;
	return 1;
}

/* Explores until something is found, all is explored, a limit is reached, or the run is left. One run of a library at a time. */
EXPORTED void septum_explore(struct septum_run *run)
{
	static struct explorer explorer;
	struct explorer *x = run->left ? run->left : &explorer;
	unsigned workers = run->workers ? run->workers : 1;
	size_t bytes = workers * sizeof(struct worker);

	make_keys();
	if (run->left ? go_on(x) : begin_exploring(x, run, workers, bytes)) {
		work_together(x);
		x->covered = model_covered;
		if (run->left)
			return;
		conclude(x, workers);
	}
	free_explorer(x, workers, bytes);
	run->seconds = x->earlier + now() - x->began;
}
