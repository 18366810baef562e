/* What a caller outside of this translation unit may use besides septum_explore(): mostly the model itself, step by step.
 *
 * Offers septum_step, septum_choices, septum_check_state, septum_stuck and septum_canonical of states; septum_free. */

EXPORTED void septum_free(struct septum_run *run)
{
	free(run->schedule);
	run->schedule = NULL;
	run->steps = 0;
}

EXPORTED uint32_t septum_state_size(void) { return STATE_SIZE; }
EXPORTED uint32_t septum_max_threads(void) { return MAX_THREADS; }
EXPORTED uint32_t septum_coverage(void) { return sizeof model_covered; }
EXPORTED const uint8_t *septum_covered(void) { return model_covered; }
EXPORTED int septum_step(uint8_t *state, unsigned thread, step_t *step) { return model_step(state, thread, step); }
EXPORTED uint32_t septum_choices(const uint8_t *state, unsigned thread) { return model_choices(state, thread); }
EXPORTED int32_t septum_check_state(const uint8_t *state, int at_rest) { return model_check(state, at_rest); }
EXPORTED uint32_t septum_stuck(const uint8_t *state, unsigned threads, uint32_t waiting) { return model_stuck(state, threads, waiting); }
EXPORTED void septum_canonical(const uint8_t *from, uint8_t *to) { model_canonical(from, to); }
