/* What a caller outside of this translation unit may use. */

#define EXPORTED __attribute__((visibility("default")))

static void free_explorer(struct explorer *x, unsigned workers, size_t bytes)
{
	for (unsigned i = 0; x->worker && i < workers; i++)
		free_pool(x->run, &x->worker[i].pool);
	free_log(x->run, &x->log);
	free_table(x->run, &x->table);
	let_go(x->run, x->worker, bytes);
	pthread_mutex_destroy(&x->lock);
	pthread_cond_destroy(&x->all_met);
}

/* The initial state, as if it were a successor of nothing. */
static void begin(struct explorer *x)
{
	static const _Alignas(64) uint8_t nothing[STRIDE];
	struct worker *w = &x->worker[0];
	struct successor *s = &w->successor[0];

	memcpy(w->raw, x->run->initial, STATE_SIZE);
	if (x->run->symmetry)
		model_canonical(w->raw, s->state);
	else
		memcpy(s->state, w->raw, STATE_SIZE);
	change_sum(&s->sum, nothing, s->state);
	s->print = fingerprint(&s->sum);
	insert(&x->table, &s->print);
	welcome(w, s, 0);
	x->level = w->produced;
	w->produced = NULL;
}

static int prepare(struct explorer *x, unsigned workers, size_t bytes)
{
	struct septum_run *run = x->run;

	pthread_mutex_init(&x->lock, NULL);
	pthread_cond_init(&x->all_met, NULL);
	x->worker = hold(run, bytes);
	x->log.chunk = hold(run, DIRECTORY_BYTES);
	if (!make_table(run, &x->table, TABLE_BITS) || !x->worker || !x->log.chunk)
		return 0;
	x->table.room = ((int64_t)6 << TABLE_BITS) / 10;
	x->everyone = run->threads == 32 ? UINT32_MAX : (1u << run->threads) - 1;
	x->workers = workers;
	for (unsigned i = 0; i < workers; i++)
		x->worker[i].explorer = x;
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
	run->outcome = least->outcome ? least->outcome : x->ending ? x->ending : x->deeper ? RUN_DEPTH_REACHED : RUN_COMPLETE;
	if (!least->outcome)
		return;
	run->failure = least->failure;
	run->traced = trace_finding(x, &x->worker[0].path, least);
}

/* Explores until something is found, all is explored, or a limit is reached. One run of a library at a time. */
EXPORTED void septum_explore(struct septum_run *run)
{
	struct explorer x = { .run = run, .began = now() };
	unsigned workers = run->workers ? run->workers : 1;
	size_t bytes = workers * sizeof(struct worker);

	run->progress = (struct septum_progress){ 0 };
	run->outcome = RUN_OUT_OF_MEMORY;
	run->failure = NO_FAILURE;
	run->peak_bytes = run->witnesses = run->steps = run->traced = 0;
	run->schedule = NULL;
	memset(model_covered, 0, sizeof model_covered);
	make_keys();
	if (prepare(&x, workers, bytes)) {
		begin(&x);
		work_together(&x);
		conclude(&x, workers);
	}
	free_explorer(&x, workers, bytes);
	run->seconds = now() - x.began;
}

EXPORTED void septum_free(struct septum_run *run)
{
	free(run->schedule);
	run->schedule = NULL;
	run->steps = 0;
}

EXPORTED uint32_t septum_state_size(void) { return STATE_SIZE; }
EXPORTED uint32_t septum_max_threads(void) { return MAX_THREADS; }
EXPORTED uint32_t septum_coverage(void) { return COVERAGE; }
EXPORTED const uint8_t *septum_covered(void) { return model_covered; }
EXPORTED int septum_step(uint8_t *state, unsigned thread, step_t *step) { return model_step(state, thread, step); }
EXPORTED uint32_t septum_choices(const uint8_t *state, unsigned thread) { return model_choices(state, thread); }
EXPORTED int septum_local(const uint8_t *state, unsigned thread) { return model_local(state, thread); }
EXPORTED int32_t septum_check_state(const uint8_t *state, int at_rest) { return model_check(state, at_rest); }
EXPORTED void septum_canonical(const uint8_t *from, uint8_t *to) { model_canonical(from, to); }
