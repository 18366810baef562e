-- The protocol of README.md in Murphi with interchangeable pages, for Rumur's symmetry reduction.
--
--     rumur --threads 2 --deadlock-detection stuck --scalarset-schedules off mirror_fault_symmetric.m --output verifier.c
--     cc -O3 -march=native -mcx16 verifier.c -o verifier -lpthread && ./verifier
--
-- It differs from mirror_fault.m in this alone: pages 3..11 are the scalarset `frame`. A scalarset has no fixed members, so
-- the words of page 1, the mirror root, and of page 2, its S-EPT page, are variables of their own; a thread whose `sp` is
-- undefined is at the root. Where the protocol has page 0, a frame is undefined. Any free page is as good as the lowest, as
-- none differs from another.

const
  CONFIG: 1;
  THREADS: CONFIG = 1 ? 2 : (CONFIG = 4 ? 4 : 3);
  FRAMES: 9;
  LEAF: 2;

type
  thread: 0..THREADS-1;
  frame: scalarset(FRAMES);
  slot: 0..1; -- no stack is ever higher
  index: 0..1;
  gfn_t: 0..3;
  role: enum { FREE_PAGE, MIRROR_TABLE, SEPT_PAGE };
  entry: record
    word: enum { ZERO, NONP, FROZEN, PRESENT }; -- ZERO in a page that is no mirror table
    child: frame; -- of a table
    gfn: gfn_t; -- of a leaf
  end;
  sept_entry: enum { FREE, MAPPED, BLOCKED };
  position: enum { START, TOP_UP_SPT, TOP_UP_EXT, ENTER, WALK, LINK_FREEZE, LINK_MAP, LINK_PRESENT, LEAF_FREEZE, LEAF_MAP,
                   LEAF_PRESENT, LEAVE, ZAP_ENTER, ZAP_BLOCK, ZAP_REMOVE, ZAP_LEAVE, ENDED };
  locals: record
    mark: position;
    seq0: 0..7;
    level: 0..LEAF;
    sp, c, x: frame;
    retry: boolean;
    n: 0..1;
  end;

var
  state: array [frame] of role;
  place: array [frame] of 0..4; -- 1 + i for entry i of the root, 3 + i for entry i of a middle table
  spt_stack, ext_stack: array [thread] of array [slot] of frame;
  at: array [thread] of locals;
  root_spt: array [index] of entry;
  root_sept: array [index] of sept_entry;
  ext_of: array [frame] of frame;
  spt: array [frame] of array [index] of entry;
  sept: array [frame] of array [index] of sept_entry;
  writer, inval: boolean;
  readers: 0..THREADS;
  seq: 0..7;

function zaps(t: thread): boolean;
begin
  return CONFIG = 2 & t = 2 | CONFIG = 4 & t = 3;
end;

function gfn(t: thread): gfn_t;
begin
  if CONFIG = 1 then return 0; end;
  if CONFIG = 2 then return t % 2; end;
  return t = 3 ? 1 : t;
end;

function at_level(t: thread; level: 0..LEAF): index;
begin
  return (gfn(t) / (level = 0 ? 4 : (level = 1 ? 2 : 1))) % 2;
end;

procedure clear_entry(var e: entry);
begin
  e.word := ZERO;
  undefine e.child;
  e.gfn := 0;
end;

procedure alloc(r: role; var p: frame);
begin
  for f: frame do
    if isundefined(p) & state[f] = FREE_PAGE then
      state[f] := r;
      p := f;
    end;
  end;
end;

procedure release(p: frame);
begin
  assert state[p] != FREE_PAGE "free of a free page";
  state[p] := FREE_PAGE;
  place[p] := 0;
  for i: index do
    clear_entry(spt[p][i]);
    sept[p][i] := FREE;
  end;
end;

-- To the first mark that is due at or after the two top-up loops.
procedure top_up(t: thread; seq0: 0..7);
begin
  at[t].seq0 := seq0;
  if isundefined(spt_stack[t][1]) then at[t].mark := TOP_UP_SPT;
  elsif isundefined(ext_stack[t][1]) then at[t].mark := TOP_UP_EXT;
  else at[t].mark := ENTER;
  end;
end;

-- To the final mark of fault, or to the end: no local but `retry` lives on.
procedure leave(t: thread; m: position; retry: boolean);
begin
  at[t].mark := m;
  at[t].seq0 := 0;
  at[t].level := 0;
  undefine at[t].sp;
  undefine at[t].c;
  undefine at[t].x;
  at[t].retry := retry;
end;

-- The steps of a fault that may be at the root: `e` is the entry of the table where thread t is, `s` the S-EPT entry beside it.

procedure walk(t: thread; var e: entry);
var top: slot;
begin
  alias me: at[t] do
    if e.word = FROZEN then
      leave(t, LEAVE, true);
    elsif e.word = PRESENT & me.level = LEAF then
      leave(t, LEAVE, false);
    elsif e.word = PRESENT then
      me.sp := e.child;
      me.level := me.level + 1;
    elsif me.level = LEAF then
      me.mark := LEAF_FREEZE;
      me.level := 0;
    else
      top := isundefined(spt_stack[t][1]) ? 0 : 1;
      me.c := spt_stack[t][top];
      undefine spt_stack[t][top];
      top := isundefined(ext_stack[t][1]) ? 0 : 1;
      me.x := ext_stack[t][top];
      undefine ext_stack[t][top];
      ext_of[me.c] := me.x;
      place[me.c] := 1 + 2 * me.level + at_level(t, me.level);
      place[me.x] := place[me.c];
      me.mark := LINK_FREEZE;
    end;
  end;
end;

procedure link_freeze(t: thread; var e: entry);
begin
  alias me: at[t] do
    if e.word != NONP then
      release(me.c);
      release(me.x);
      undefine ext_of[me.c];
      leave(t, LEAVE, true);
    else
      e.word := FROZEN;
      undefine me.x;
      me.mark := LINK_MAP;
    end;
  end;
end;

procedure link_map(t: thread; var s: sept_entry);
begin
  assert s = FREE "link: the S-EPT entry is not free";
  s := MAPPED;
  at[t].mark := LINK_PRESENT;
end;

procedure link_present(t: thread; var e: entry);
begin
  alias me: at[t] do
    e.word := PRESENT;
    e.child := me.c;
    me.sp := me.c;
    undefine me.c;
    me.level := me.level + 1;
    me.mark := WALK;
  end;
end;

ruleset t: thread do
  alias me: at[t] do

    rule "start" me.mark = START ==>
    begin
      if zaps(t) then me.mark := ZAP_ENTER; else top_up(t, seq); end;
    end;

    rule "fault: top up spt" me.mark = TOP_UP_SPT ==>
    var p: frame;
    begin
      undefine p;
      alloc(MIRROR_TABLE, p);
      if isundefined(p) then
        leave(t, ENDED, false);
      else
        for i: index do spt[p][i].word := NONP; end;
        if isundefined(spt_stack[t][0]) then spt_stack[t][0] := p; else spt_stack[t][1] := p; end;
        top_up(t, me.seq0);
      end;
    end;

    rule "fault: top up ext" me.mark = TOP_UP_EXT ==>
    var p: frame;
    begin
      undefine p;
      alloc(SEPT_PAGE, p);
      if isundefined(p) then
        leave(t, ENDED, false);
      else
        if isundefined(ext_stack[t][0]) then ext_stack[t][0] := p; else ext_stack[t][1] := p; end;
        top_up(t, me.seq0);
      end;
    end;

    rule "fault: enter" me.mark = ENTER & !writer ==>
    begin
      if inval | seq != me.seq0 then
        top_up(t, seq);
      else
        readers := readers + 1;
        me.mark := WALK;
        me.seq0 := 0;
      end;
    end;

    rule "fault: walk" me.mark = WALK ==>
    begin
      if isundefined(me.sp) then walk(t, root_spt[at_level(t, 0)]);
      else walk(t, spt[me.sp][at_level(t, me.level)]);
      end;
    end;

    rule "link: freeze" me.mark = LINK_FREEZE ==>
    begin
      if isundefined(me.sp) then link_freeze(t, root_spt[at_level(t, 0)]);
      else link_freeze(t, spt[me.sp][at_level(t, me.level)]);
      end;
    end;

    rule "link: map" me.mark = LINK_MAP ==>
    begin
      if isundefined(me.sp) then link_map(t, root_sept[at_level(t, 0)]);
      else link_map(t, sept[ext_of[me.sp]][at_level(t, me.level)]);
      end;
    end;

    rule "link: present" me.mark = LINK_PRESENT ==>
    begin
      if isundefined(me.sp) then link_present(t, root_spt[at_level(t, 0)]);
      else link_present(t, spt[me.sp][at_level(t, me.level)]);
      end;
    end;

    rule "leaf: freeze" me.mark = LEAF_FREEZE ==>
    begin
      if spt[me.sp][at_level(t, LEAF)].word != NONP then
        leave(t, LEAVE, true);
      else
        spt[me.sp][at_level(t, LEAF)].word := FROZEN;
        me.mark := LEAF_MAP;
      end;
    end;

    rule "leaf: map" me.mark = LEAF_MAP ==>
    begin
      assert sept[ext_of[me.sp]][at_level(t, LEAF)] = FREE "leaf: the S-EPT entry is not free";
      sept[ext_of[me.sp]][at_level(t, LEAF)] := MAPPED;
      me.mark := LEAF_PRESENT;
    end;

    rule "leaf: present" me.mark = LEAF_PRESENT ==>
    begin
      spt[me.sp][at_level(t, LEAF)].word := PRESENT;
      spt[me.sp][at_level(t, LEAF)].gfn := gfn(t);
      leave(t, LEAVE, false);
    end;

    rule "fault: leave" me.mark = LEAVE ==>
    begin
      readers := readers - 1;
      if me.retry then
        me.retry := false;
        top_up(t, seq);
      else
        me.mark := ENDED;
      end;
    end;

    rule "zap: enter" me.mark = ZAP_ENTER & !writer & readers = 0 ==>
    begin
      seq := seq + 1;
      me.mark := ZAP_LEAVE;
      if root_spt[at_level(t, 0)].word = PRESENT then
        alias middle: spt[root_spt[at_level(t, 0)].child][at_level(t, 1)] do
          if middle.word = PRESENT & spt[middle.child][at_level(t, LEAF)].word = PRESENT then
            writer := true;
            inval := true;
            me.sp := middle.child;
            me.mark := ZAP_BLOCK;
          end;
        end;
      end;
    end;

    rule "zap: block" me.mark = ZAP_BLOCK ==>
    begin
      assert sept[ext_of[me.sp]][at_level(t, LEAF)] = MAPPED "zap: the S-EPT entry is not mapped";
      sept[ext_of[me.sp]][at_level(t, LEAF)] := BLOCKED;
      me.mark := ZAP_REMOVE;
    end;

    rule "zap: remove" me.mark = ZAP_REMOVE ==>
    begin
      sept[ext_of[me.sp]][at_level(t, LEAF)] := FREE;
      spt[me.sp][at_level(t, LEAF)].word := NONP;
      spt[me.sp][at_level(t, LEAF)].gfn := 0;
      undefine me.sp;
      inval := false;
      writer := false;
      me.mark := ZAP_LEAVE;
    end;

    rule "zap: leave" me.mark = ZAP_LEAVE ==>
    begin
      if me.n = 0 then
        me.n := 1;
        me.mark := ZAP_ENTER;
      else
        me.n := 0;
        me.mark := ENDED;
      end;
    end;

  end;
end;

-- A final state steps to itself, so that it is no deadlock.
rule "all ended" forall t: thread do at[t].mark = ENDED end ==>
begin
end;

startstate
begin
  for t: thread do
    alias me: at[t] do
      me.mark := START; me.seq0 := 0; me.level := 0; me.retry := false; me.n := 0;
      undefine me.sp; undefine me.c; undefine me.x;
    end;
    undefine spt_stack[t];
    undefine ext_stack[t];
  end;
  for i: index do
    clear_entry(root_spt[i]);
    root_spt[i].word := NONP;
  end;
  clear root_sept;
  clear state; clear place; clear sept;
  for f: frame do
    undefine ext_of[f];
    for i: index do clear_entry(spt[f][i]); end;
  end;
  clear writer; clear inval; clear readers; clear seq;
end;
