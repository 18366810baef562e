------------------------ MODULE mirror_fault_symmetric ------------------------
(* The protocol of README.md with interchangeable pages: two states with the same View are one. TLC's SYMMETRY would compare *)
(* the 9! = 362,880 permutations of pages 3..11 at each step. A page that is not free has one place (in the tree below the   *)
(* root, beside a table as its S-EPT page, in a stack, or in a thread's hands), so the view names pages by their places.     *)
(*                                                                                                                           *)
(*     (cat mirror_fault_A.cfg; echo VIEW View) > symmetric.cfg                                                              *)
(*     java -cp tla2tools.jar tlc2.TLC -workers 2 -config symmetric.cfg mirror_fault_symmetric                               *)
EXTENDS mirror_fault, FiniteSets

Child(p, i) == IF IsPresent(spt[p][i]) THEN Target(spt[p][i]) ELSE 0
Held(t) == IF at[t][1] \in {"link_freeze", "link_map", "link_present"} THEN at[t][4] ELSE 0
Slot(stack, n) == IF n <= Len(stack) THEN stack[n] ELSE 0

\* Which locals are pages, where a thread stands at this mark.
Named(mark) ==
  CASE mark \in {"walk", "zap_block", "zap_remove"} -> {3}
    [] mark = "link_freeze" -> {3, 4, 5}
    [] mark \in {"link_map", "link_present"} -> {3, 4}
    [] mark \in {"leaf_freeze", "leaf_map", "leaf_present"} -> {2}
    [] OTHER -> {}

View ==
  LET middle == <<Child(Root, 1), Child(Root, 2)>>
      leaves == <<Child(middle[1], 1), Child(middle[1], 2), Child(middle[2], 1), Child(middle[2], 2)>>
      tables == <<Root>> \o middle \o leaves \o [t \in T |-> Held(t)]
      places == tables \o [k \in DOMAIN tables |-> extOf[tables[k]]]
                  \o [t \in T |-> Slot(sptStack[t], 1)] \o [t \in T |-> Slot(sptStack[t], 2)]
                  \o [t \in T |-> Slot(extStack[t], 1)] \o [t \in T |-> Slot(extStack[t], 2)]
      Place(p) == CHOOSE k \in DOMAIN places : places[k] = p
      Word(k, word) == IF IsPresent(word) /\ k \notin 4..7 THEN Present(0) ELSE word \* a table's child has its place, a leaf has its GFN
      Content(k) == <<state[places[k]], [i \in 1..2 |-> Word(k, spt[places[k]][i])], sept[places[k]]>>
      Thread(t) == [i \in DOMAIN at[t] |-> IF i \in Named(at[t][1]) THEN Place(at[t][i]) ELSE at[t][i]]
  IN  <<[k \in DOMAIN places |-> Content(k)], [t \in T |-> Thread(t)], Cardinality(Vacant), writer, readers, seq, inval>>
=============================================================================
