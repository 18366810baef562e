/* How a run begins: with the initial state, or from a checkpoint, which is judged as a whole before anything of it is taken over.
 *
 * Offers resume_or_begin. */

/* Whether all that a record of a race names is there: threads, expressions, places, and a state in the log. */
static int race_is_possible(const struct race *race, unsigned threads, uint64_t ids)
{
	if (!race->found)
		return 1;
	for (unsigned i = 0; i < 2; i++)
		if (race->site[i] >= EXPRESSIONS || race->partner_site[i] >= EXPRESSIONS)
			return 0;
	for (unsigned i = 0; i < 4; i++)
		if (race->offset[i] >= STATE_SIZE)
			return 0;
	return race->found == 1 && race->apart <= 1 && race->written < 1 << 4 && race->thread < threads && race->partner < threads &&
	       race->choice < MOST_CHOICES && race->partner_choice < MOST_CHOICES && race->state < ids;
}

/* Every length is one that a run can have, and fits the others, so that nothing that is read by it leaves its place. */
static int is_possible(const struct checkpoint *header)
{
	const struct septum_progress *progress = &header->progress;
	uint64_t states = progress->states, chunks = header->chunks, rest = header->body_bytes;
	uint64_t least = sizeof model_covered + chunks * CHUNK_BYTES + states * sizeof(struct fingerprint);

	if (header->crowded > 1 || header->deeper > 1 || header->slots < FIRST_SLOTS || header->slots % SLOTS_UNIT ||
	    states > MOST_STATES || header->slots > 2 * states + MOST_SPARE || chunks > 1ull << CHUNKS_BITS)
		return 0;
	if (!states || states > (uint64_t)capacity(header->slots, header->crowded != 0) || states > chunks << CHUNK_BITS ||
	    progress->depth >= states || rest < least)
		return 0;
	rest = (rest - least) / (sizeof(uint32_t) * 2);
	return header->batches[0] <= rest && header->batches[1] <= rest - header->batches[0];
}

static enum refusal judge_checkpoint(const struct septum_run *run, int file, struct checkpoint *header)
{
	struct stream body = { .file = file, .seal = begin_seal(run->key) };

	if (read_at(file, header, sizeof *header, 0) < sizeof *header)
		return REFUSED_DAMAGED;
	if (header->seal != header_seal(header, run->key))
		return REFUSED_DAMAGED;
	if (header->version != CHECKPOINT_VERSION || memcmp(header->identity, run->identity, IDENTITY_BYTES) ||
	    header->state_size != STATE_SIZE || header->coverage != sizeof model_covered)
		return REFUSED_OTHER;
	if (!is_possible(header) || !race_is_possible(&header->race, run->threads, header->chunks << CHUNK_BITS))
		return REFUSED_DAMAGED;
	do
		refill(&body);
	while (!body.failed);
	return body.place == header->body_bytes && end_seal(body.seal) == header->body_seal ? NOT_REFUSED : REFUSED_DAMAGED;
}

/* Every link names a thread that there is, and a parent in the log. */
static int links_are_possible(const uint64_t *chunk, uint64_t ids, unsigned threads)
{
	for (uint64_t i = 0; i < 1u << CHUNK_BITS; i++)
		if (link_parent(chunk[i]) >= ids || link_thread(chunk[i]) >= threads)
			return 0;
	return 1;
}

static int get_log(struct explorer *x, struct stream *from, uint64_t chunks)
{
	for (; x->log.chunks < chunks && !from->failed; x->log.chunks++) {
		uint64_t **chunk = &x->log.chunk[x->log.chunks];

		if (!(*chunk = hold(x->run, CHUNK_BYTES)))
			return 0;
		get(from, *chunk, CHUNK_BYTES);
		from->failed |= !links_are_possible(*chunk, chunks << CHUNK_BITS, x->run->threads);
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
		from->failed |= !print.first || !print.second;
		if (!from->failed)
			put_back(table, &print);
	}
	return 1;
}

/* Whether the states of the batch fill its body, each with blocks that a state has and a number in the log. */
static int is_well_formed(const struct batch *batch, uint64_t ids)
{
	const uint8_t *at = batch->body, *end = at + batch->used;
	struct head head;
	struct block block;

	for (uint32_t i = 0; i < batch->count; i++) {
		if ((size_t)(end - at) < sizeof head)
			return 0;
		memcpy(&head, at, sizeof head);
		if (head.id >= ids)
			return 0;
		for (at += sizeof head; head.blocks; head.blocks--, at += 8 * __builtin_popcount(block.words)) {
			if ((size_t)(end - at) < sizeof block)
				return 0;
			memcpy(&block, at, sizeof block);
			at += sizeof block;
			if (block.number >= BLOCKS || (size_t)(end - at) < 8 * (size_t)__builtin_popcount(block.words))
				return 0;
		}
	}
	return at == end;
}

static void get_level(struct explorer *x, struct stream *from, uint64_t batches)
{
	struct worker *w = &x->worker[0];

	for (; batches && !from->failed && !w->halted; batches--) {
		get(from, &w->filling.count, sizeof w->filling.count);
		get(from, &w->filling.used, sizeof w->filling.used);
		from->failed |= !w->filling.count || w->filling.used > BODY_BYTES;
		if (from->failed)
			return;
		get(from, w->filling.body, w->filling.used);
		from->failed |= !is_well_formed(&w->filling, x->log.chunks << CHUNK_BITS);
		if (!from->failed)
			hand_over(w);
	}
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

	get(&from, model_covered, sizeof model_covered);
	if (!get_log(x, &from, header->chunks) || !get_table(x, &from, header))
		return 0;
	get_level(x, &from, header->batches[0]);
	collect_level(x);
	get_level(x, &from, header->batches[1]);
	if (from.failed || (!x->ending && (from.next != from.filled || from.place != header->body_bytes))) {
		run->refusal = REFUSED_DAMAGED;
		return 0;
	}
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

	memcpy(w->scratch, x->run->initial, STATE_SIZE);
	if (x->run->symmetry)
		model_canonical(w->scratch, s->state);
	else
		memcpy(s->state, w->scratch, STATE_SIZE);
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
