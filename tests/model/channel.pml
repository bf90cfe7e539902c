// One channel between the supervisor and one isolate, for SPIN to try every interleaving of.
//
//   Supervisor ──request ring, bell──▶ Worker(generation)          Memory  lets buffered stores be seen
//              ◀──answer ring, rung──                              Kernel  makes SIGKILL land, some time
//
// It is shared/ring.hpp, shared/doorbell.hpp and the supervisor's handling of death with everything left out
// that no interleaving depends on: a descriptor is its id, a model's work is one step, time is a choice.
//
// What is modelled
//   Rings      position p lies in line p % LINES and carries p + 1. Line i of both rings belong together; a
//              request holds its line until its answer is taken, so the answer is the credit.
//   Doorbells  a publisher: sequence, fence, peer's flag, only then wake. A sleeper: flag, fence, second look,
//              sleep. The worker sleeps on a futex word, which it read before; the supervisor on an eventfd
//              that it never reads, so many rings are one edge.
//   Stores     a sequence or a flag waits in its writer's store buffer (one entry; TSO) until Memory lets it
//              out or a fence or system call forces it. Without that no fence would ever be missed.
//   Death      a mortal worker can be killed between any two steps (mortal is chosen at birth, so that a lost
//              wake-up of an immortal one is a deadlock and no death hides it). A kill that the supervisor
//              sends lands any time later, and the worker runs on until then. Stores that were made before
//              death become visible before death does: the kernel's context switch is a barrier.
//   Settling   death is sure → final drain → the rest of the requests end as crashed → next generation, in
//              fresh memory.
//   Deadlines  (-DDEADLINES) the oldest pending request may end as late at any time; a grace later the kill.
//   Giving up  (-DUNKILLABLE) a worker that does not die is left behind, still able to write its old memory.
//   Hostility  (-DHOSTILE) the first worker writes any value anywhere in its own region, for ever.
//
// What must hold
//   P1  every request ends exactly once: `end_as` asserts that it was open, the finish that none still is
//   P2  no wake-up is lost: SPIN reports a state in which the supervisor waits and nobody can move
//   P3  no answer of another generation is taken:               assert at `taken`
//   P4  nothing is taken beyond what is in flight:              assert at `taken`
//   P5  a published answer is never thrown away by settling:    asserts in `settle` and `flush_worker`
//       (given up for UNKILLABLE: what the left-behind worker answers is waste by intention)
//   P6  a correct worker is never called a liar:                assert at `violation`
//   P7  no answer is overwritten before it was taken:           assert in Worker
//
// Seeded bugs, each of which SPIN must find: NO_FENCE (both), NO_PUBLISH_FENCE, NO_SLEEP_FENCE, WAKE_FIRST,
// NO_SECOND_LOOK, BELL_LATE, NO_CREDIT, NO_DRAIN, EARLY_SETTLE, REUSE (WIPE: cleared before), TRUST_PEER,
// DOUBLE_FETCH. REACHED=n makes reaching a place an error, which shows that a good run passes there.
//
// SPIN knows no weaker order than the store buffer here. This does not replace TSan or a test on arm64.

#ifndef LINES
#define LINES 2
#endif
#ifndef REQUESTS
#define REQUESTS 3
#endif
#define GENERATIONS 2
#ifndef REACHED
#define REACHED 0
#endif
#define REACH(place) assert(REACHED != place)

#ifdef REUSE
#define AT(generation) 0 /* bug: every generation lives in the same memory */
#else
#define AT(generation) (generation)
#endif
#define SPOT(generation, position) (AT(generation) * LINES + (position) % LINES)
#define LAST_LAP(position) ((position) < LINES -> 0 : (position) + 1 - LINES)

#if defined(NO_FENCE)
#define NO_PUBLISH_FENCE
#define NO_SLEEP_FENCE
#endif
#ifdef NO_CREDIT
#define CREDIT (LINES + 1) /* bug: one request more than there are lines */
#else
#define CREDIT LINES
#endif

// ---- shared memory, one region of each kind a generation ----
byte request_sequence[GENERATIONS * LINES]; // down
byte request_id[GENERATIONS * LINES];
bit supervisor_sleeps[GENERATIONS];
byte bell[GENERATIONS];                     // the futex word
byte answer_sequence[GENERATIONS * LINES];  // up
byte answer_id[GENERATIONS * LINES];
bit worker_sleeps[GENERATIONS];
bit rung[GENERATIONS];                      // the eventfd's edge

// ---- what the kernel knows of the workers ----
bit started[GENERATIONS];
bit mortal[GENERATIONS];
bit kill_sent[GENERATIONS];
bit dead[GENERATIONS];

// ---- the supervisor's private table; `answered` is the observer's, nobody acts on it ----
mtype = { unborn, pending, voted, late, crashed };
mtype state[REQUESTS] = unborn;
byte owner[REQUESTS];       // generation
bit answered[REQUESTS];     // an answer to it became visible
byte taken[GENERATIONS];    // answers

// ---- store buffers of one entry ----
mtype = { nothing, a_sequence, a_flag };
mtype supervisor_buffer = nothing;
byte supervisor_spot, supervisor_value;
mtype worker_buffer[GENERATIONS] = nothing;
byte worker_spot[GENERATIONS], worker_value[GENERATIONS];

inline flush_supervisor() {
  if
  :: supervisor_buffer == a_sequence -> request_sequence[supervisor_spot] = supervisor_value
  :: supervisor_buffer == a_flag -> supervisor_sleeps[supervisor_spot] = supervisor_value
  fi;
  supervisor_buffer = nothing; supervisor_spot = 0; supervisor_value = 0
}

inline flush_worker(which) {
  if
  :: worker_buffer[which] == a_sequence ->
    answer_sequence[worker_spot[which]] = worker_value[which];
    answered[answer_id[worker_spot[which]]] = 1;
#ifndef UNKILLABLE
    assert(state[answer_id[worker_spot[which]]] != crashed) // P5
#endif
  :: worker_buffer[which] == a_flag -> worker_sleeps[worker_spot[which]] = worker_value[which]
  fi;
  worker_buffer[which] = nothing; worker_spot[which] = 0; worker_value[which] = 0
}

inline supervisor_stores(kind, spot, value) {
  atomic {
    supervisor_buffer == nothing ->
    supervisor_buffer = kind; supervisor_spot = spot; supervisor_value = value
  }
}

inline worker_stores(kind, spot, value) {
  atomic {
    worker_buffer[g] == nothing ->
    worker_buffer[g] = kind; worker_spot[g] = spot; worker_value[g] = value
  }
}

active proctype Memory() {
end_memory:
  do
  :: atomic { supervisor_buffer != nothing -> flush_supervisor() }
  :: atomic { worker_buffer[0] != nothing -> flush_worker(0) }
  :: atomic { worker_buffer[1] != nothing -> flush_worker(1) }
  od
}

inline die(which) {
  if
  :: worker_buffer[which] != nothing -> flush_worker(which)
  :: else
  fi;
  dead[which] = 1
}

active proctype Kernel() {
end_kernel:
  do
  :: atomic { (mortal[0] || kill_sent[0]) && !dead[0] -> die(0) }
  :: atomic { (mortal[1] || kill_sent[1]) && !dead[1] -> die(1) }
  od
}

// ---- the worker: worker/loop.cpp ----

inline wake_supervisor() {
  if
  :: atomic { supervisor_sleeps[AT(g)] -> skip };
    atomic { worker_buffer[g] == nothing -> rung[g] = 1 } // a system call: the buffer is out before
  :: atomic { !supervisor_sleeps[AT(g)] -> skip }
  fi
}

proctype Worker(byte g) {
  byte position;
  byte id;
  byte bell_before;
end_unborn:
  started[g];
  {
    do
    :: atomic {
        request_sequence[SPOT(g, position)] == position + 1 ->
        id = request_id[SPOT(g, position)]
      };
      atomic {
        assert(position < LINES || taken[g] > position - LINES); // P7
        answer_id[SPOT(g, position)] = id; id = 0
      };
#ifdef WAKE_FIRST
      wake_supervisor();
#endif
      worker_stores(a_sequence, SPOT(g, position), position + 1);
#ifndef NO_PUBLISH_FENCE
      worker_buffer[g] == nothing;
#endif
#ifndef WAKE_FIRST
      wake_supervisor();
#endif
      position++

    :: atomic {
        request_sequence[SPOT(g, position)] != position + 1 ->
        bell_before = bell[g]
      };
      worker_stores(a_flag, AT(g), 1);
#ifndef NO_SLEEP_FENCE
      worker_buffer[g] == nothing;
#endif
#ifndef NO_SECOND_LOOK
      if
      :: atomic { request_sequence[SPOT(g, position)] != LAST_LAP(position) -> goto awake }
      :: atomic { request_sequence[SPOT(g, position)] == LAST_LAP(position) -> skip }
      fi;
#endif
#ifdef BELL_LATE
      bell_before = bell[g];
#endif
end_asleep:
      bell[g] != bell_before;
awake:
      bell_before = 0;
      worker_stores(a_flag, AT(g), 0)
    od
  } unless {
    atomic { dead[g] -> position = 0; id = 0; bell_before = 0 }
  }
}

// Any value, anywhere it can write, for ever. Buffers and fences would take nothing from it.
proctype Liar(byte g) {
  byte spot, value;
end_unborn:
  started[g];
  {
end_lying:
    do
    :: atomic {
        select(spot : 0 .. LINES - 1);
        select(value : 0 .. REQUESTS + 1);
        answer_sequence[SPOT(g, spot)] = value;
        spot = 0; value = 0
      }
    :: atomic {
        select(spot : 0 .. LINES - 1);
        select(value : 0 .. REQUESTS - 1);
        answer_id[SPOT(g, spot)] = value;
        spot = 0; value = 0
      }
    :: worker_sleeps[AT(g)] = 1 - worker_sleeps[AT(g)]
    :: rung[g] = 1
    od
  } unless { dead[g] }
}

init {
  atomic {
#ifdef HOSTILE
    run Liar(0);
#else
    run Worker(0);
#endif
    run Worker(1);
    run Supervisor()
  }
}

// ---- the supervisor ----

#define OUTSTANDING (published - taken[g])

inline start_worker() {
  atomic {
    if
    :: mortal[g] = 1
    :: mortal[g] = 0
    fi;
    started[g] = 1
  }
}

inline end_as(request, how) {
  assert(state[request] == pending); // P1
  state[request] = how
}

inline wake_worker() {
  if
  :: atomic { worker_sleeps[AT(g)] -> skip };
    atomic { supervisor_buffer == nothing -> bell[g]++ } // an atomic addition, then a system call
  :: atomic { !worker_sleeps[AT(g)] -> skip }
  fi
}

inline publish() {
  if
  :: atomic { flag_raised -> flag_raised = 0 }; supervisor_stores(a_flag, AT(g), 0)
  :: atomic { !flag_raised -> skip }
  fi;
  request_id[SPOT(g, published)] = issued;
#ifdef WAKE_FIRST
  wake_worker();
#endif
  atomic { state[issued] = pending; owner[issued] = g; issued++ };
  supervisor_stores(a_sequence, SPOT(g, published), published + 1);
  published++;
#ifndef NO_PUBLISH_FENCE
  supervisor_buffer == nothing;
#endif
#ifndef WAKE_FIRST
  wake_worker()
#endif
}

inline settle() {
  atomic {
    do
    :: OUTSTANDING > 0 ->
      if
      :: state[first + taken[g]] == late
      :: else ->
#ifndef UNKILLABLE
        assert(!answered[first + taken[g]]); // P5
#endif
        end_as(first + taken[g], crashed);
        REACH(3)
      fi;
      taken[g]++
    :: else -> break
    od
  }
}

// Its memory is unmapped and nobody else has it: what lies there matters to nobody.
inline forget(which) {
  mortal[which] = 0; kill_sent[which] = 0; taken[which] = 0;
  bell[which] = 0; rung[which] = 0;
#ifndef REUSE
  supervisor_sleeps[which] = 0; worker_sleeps[which] = 0;
  wipe(which)
#endif
}

inline wipe(which) {
  spot = 0;
  do
  :: spot < LINES ->
    request_sequence[which * LINES + spot] = 0; request_id[which * LINES + spot] = 0;
    answer_sequence[which * LINES + spot] = 0; answer_id[which * LINES + spot] = 0;
    spot++
  :: else -> spot = 0; break
  od
}

proctype Supervisor() {
  byte g;          // the current generation
  byte first;      // the id that its position 0 carries
  byte published;  // requests, in it
  byte issued;     // requests, in all
  bit flag_raised;
  bit draining;    // it is dead, and this is the last look
  byte id;
  byte spot;

  start_worker();

looking:
  atomic { // one load of the sequence
    if
#ifdef TRUST_PEER
    :: answer_sequence[SPOT(g, taken[g])] > taken[g] // bug: the writer's word for how far it is
    :: else -> goto no_news
#else
    :: answer_sequence[SPOT(g, taken[g])] == taken[g] + 1
    :: answer_sequence[SPOT(g, taken[g])] == LAST_LAP(taken[g]) -> goto no_news
    :: else -> goto violation
#endif
    fi
  };
  atomic { // one load of the descriptor; from here on only the copy counts
    id = answer_id[SPOT(g, taken[g])];
#ifndef TRUST_PEER
    if
    :: OUTSTANDING > 0 && id == first + taken[g]
    :: else -> goto violation
    fi;
#endif
  };
#ifdef DOUBLE_FETCH
  id = answer_id[SPOT(g, taken[g])]; // bug: what was checked is not what is used
#endif
  atomic { // taken
    assert(OUTSTANDING > 0);                        // P4
    assert(state[id] != unborn && owner[id] == g);  // P3
    if
    :: state[id] == late // its time was over; dropped
    :: else -> end_as(id, voted)
    fi;
    if
    :: draining -> REACH(1)
    :: else
    fi;
    taken[g]++; id = 0;
    goto looking
  };

no_news:
  if
  :: atomic { draining -> goto settling }
  :: atomic { !draining && !flag_raised -> flag_raised = 1 }; supervisor_stores(a_flag, AT(g), 1)
  :: atomic { !draining && flag_raised -> skip }
  fi;
#ifndef NO_SLEEP_FENCE
  supervisor_buffer == nothing;
#endif
#ifndef NO_SECOND_LOOK
  if
  :: atomic { answer_sequence[SPOT(g, taken[g])] != LAST_LAP(taken[g]) -> goto looking }
  :: atomic { answer_sequence[SPOT(g, taken[g])] == LAST_LAP(taken[g]) -> skip }
  fi;
#endif

asleep:
  if
  :: atomic { rung[g] -> rung[g] = 0; goto looking }
  :: atomic { issued < REQUESTS && OUTSTANDING < CREDIT && !kill_sent[g] -> goto publishing }
  :: atomic { dead[g] -> goto died }
  :: atomic { issued == REQUESTS && OUTSTANDING == 0 -> goto finished }
#if defined(DEADLINES) || defined(HOSTILE)
  :: atomic { // the oldest one's time is over
      OUTSTANDING > 0 && state[first + taken[g]] == pending ->
      end_as(first + taken[g], late); goto asleep
    }
  :: atomic {
      OUTSTANDING > 1 && state[first + taken[g]] == late && state[first + taken[g] + 1] == pending ->
      end_as(first + taken[g] + 1, late); goto asleep
    }
  :: atomic { // the grace after it too
      OUTSTANDING > 0 && state[first + taken[g]] == late && !kill_sent[g] ->
      kill_sent[g] = 1; goto asleep
    }
#endif
#if defined(UNKILLABLE) || defined(EARLY_SETTLE)
  :: atomic { kill_sent[g] && !dead[g] -> goto died } // bug of EARLY_SETTLE: its death is not sure
#endif
  fi;

publishing:
  publish();
  goto looking;

violation:
  // Nothing that it says is read any more.
  atomic {
#ifdef HOSTILE
    assert(g == 0); // P6
#else
    assert(false);  // P6
#endif
    REACH(5);
    id = 0; kill_sent[g] = 1
  };
  atomic { dead[g] -> goto settling };

died:
#ifndef NO_DRAIN
  atomic { draining = 1; goto looking };
#endif

settling:
  atomic {
    supervisor_buffer == nothing -> // everything from here to the next start is full of system calls
    settle();
    draining = 0;
    if
    :: issued < REQUESTS && g + 1 < GENERATIONS ->
      if
      :: dead[g] -> forget(g)
      :: else
      fi;
#ifdef WIPE
      supervisor_sleeps[0] = 0; worker_sleeps[0] = 0;
      wipe(0);
#endif
      g++; first = issued; published = 0; flag_raised = 0
    :: else -> goto finished
    fi
  };
  start_worker();
  goto looking;

finished:
  atomic {
    if
    :: g == 1 && issued == REQUESTS && state[REQUESTS - 1] == voted -> REACH(2)
    :: else
    fi;
    if
    :: state[0] == late -> REACH(4)
    :: else
    fi;
    id = 0;
    do
    :: id < issued -> assert(state[id] != pending && state[id] != unborn); id++ // P1
    :: else -> id = 0; break
    od
  }
}
