/* How a run begins: with the initial state, or from a checkpoint, which is judged as a whole before anything of it is taken over. */

static enum refusal judge_checkpoint(const struct septum_run *run, int file, struct checkpoint *header)
{
	struct stream body = { .file = file };

	if (read_at(file, header, sizeof *header, 0) < sizeof *header)
		return REFUSED_DAMAGED;
	if (header->checksum != checksum(0, header, offsetof(struct checkpoint, checksum)))
		return REFUSED_DAMAGED;
	if (header->version != CHECKPOINT_VERSION || memcmp(header->identity, run->identity, IDENTITY_BYTES) ||
	    header->state_size != STATE_SIZE || header->coverage != COVERAGE)
		return REFUSED_OTHER;
	do
		refill(&body);
	while (!body.failed);
	return body.place == header->body_bytes && body.checksum == header->body_checksum ? NOT_REFUSED : REFUSED_DAMAGED;
}

static int get_log(struct explorer *x, struct stream *from, uint64_t chunks)
{
	for (; x->log.chunks < chunks; x->log.chunks++) {
		uint64_t **chunk = &x->log.chunk[x->log.chunks];

		if (!(*chunk = hold(x->run, CHUNK_BYTES)))
			return 0;
		get(from, *chunk, CHUNK_BYTES);
	}
	return 1;
}

/* As large as it was, so that what memory sufficed for once suffices for again. */
static int get_table(struct explorer *x, struct stream *from, const struct checkpoint *header)
{
	struct table *table = &x->table;
	struct fingerprint print;

	free_table(x->run, table);
	if (!make_table(x->run, table, header->slots, 0))
		return 0;
	table->crowded = header->crowded != 0;
	table->room = capacity(table->count, table->crowded) - (int64_t)header->progress.states;
	for (uint64_t state = 0; state < header->progress.states && !from->failed; state++) {
		get(from, &print, sizeof print);
		put_back(table, &print);
	}
	return 1;
}

static void get_level(struct explorer *x, struct stream *from, uint64_t batches)
{
	struct worker *w = &x->worker[0];

	while (batches-- && !from->failed && !w->halted) {
		get(from, &w->filling.count, sizeof w->filling.count);
		get(from, &w->filling.used, sizeof w->filling.used);
		get(from, w->filling.body, w->filling.used);
		hand_over(w);
	}
	collect_level(x);
}

static void tell_what_is_lost(struct explorer *x, const struct checkpoint *header)
{
	const struct note *note = &header->note;

	x->run->resumed = (struct septum_resumed){
		.depth = header->progress.depth, .states = header->progress.states, .seconds = header->seconds,
		.lost_depth = note->depth - header->progress.depth, .lost_states = note->states - header->progress.states,
		.lost_seconds = note->seconds - header->seconds,
	};
}

/* Whether memory sufficed. */
static int take_over(struct explorer *x, int file, const struct checkpoint *header)
{
	struct septum_run *run = x->run;
	struct stream from = { .file = file };

	get(&from, model_covered, COVERAGE);
	if (!get_log(x, &from, header->chunks) || !get_table(x, &from, header))
		return 0;
	get_level(x, &from, header->batches);
	if (from.failed)		/* it was sound a moment ago */
		give_up(&x->worker[0], RUN_OUT_OF_DISK);
	tell_what_is_lost(x, header);
	uint64_t bytes = run->progress.bytes;
	run->progress = header->progress;
	run->progress.bytes = bytes;
	x->worker[0].step.witnesses = header->witnesses;
	if (x->worker[0].watcher)
		x->worker[0].watcher->race = header->race;
	x->worker[0].frontier = 0;
	x->deeper = header->deeper != 0;
	x->earlier = header->seconds;
	x->checkpoint_file = file;
	return 1;
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
	hand_over(w);
	collect_level(x);
}

/* Whether the run can begin: from the checkpoint, if it is to resume and there is one. */
static int resume_or_begin(struct explorer *x)
{
	struct septum_run *run = x->run;
	struct checkpoint header;
	int file = run->checkpoint && run->resume ? open_alone(run->checkpoint, 0) : -1;

	if (file < 0) {
		int none = !run->checkpoint || !run->resume || errno == ENOENT;

		if (none)
			begin(x);
		else
			run->refusal = errno == EWOULDBLOCK ? REFUSED_IN_USE : REFUSED_UNREADABLE;
		return none;
	}
	run->refusal = judge_checkpoint(run, file, &header);
	if (run->refusal == NOT_REFUSED && take_over(x, file, &header))
		return 1;
	close(file);
	return 0;
}
