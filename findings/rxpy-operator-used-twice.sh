#!/bin/sh
# rxpy-operator-used-twice: one `replay()` of RxPY in two pipelines has one memory: the second plays what the first did.
#
# Expected: an operator describes what is done to a source; put into a variable, or shared by a helper, it serves many
#           pipelines, as `shareReplay(1)` does in RxJS, and as `map` and `share()` do in RxPY.
# Seen:     `replay()`, without a mapper, makes its Subject when it is called, not when it is applied. The second pipeline
#           emits the items of the first, completes with it, and what its own source emits is lost.
# Matters:  `last_value = [replay(buffer_size=1), ref_count()]` at the top of a module joins all pipelines that use it:
#           one user's messages go to another. Make the operator anew for each.
# Versions: reactivex 6.1.0; Python 3.11.7
#
# Printed on 2026-11-29:
#   share, used twice: ['ada'] and ['bob']
#   replay, used twice: ['ada'] and ['ada']
#   replay, made twice: ['ada'] and ['bob']
. "$(dirname "$0")/tools.sh"
python_with reactivex==6.1.0

run_python <<'END'
import reactivex
from reactivex import operators as ops
from wire import compare, versions

versions("reactivex")


def seen_by(source):
    seen = []
    source.subscribe(seen.append)
    return seen


def two(first, second):
    return seen_by(reactivex.of("ada").pipe(*first)), seen_by(reactivex.of("bob").pipe(*second))


def replay():
    return ops.replay(buffer_size=1), ops.ref_count()


share = (ops.share(),)
shared = two(share, share)
once = replay()
used_twice = two(once, once)
made_twice = two(replay(), replay())
print("share, used twice: {} and {}".format(*shared))
print("replay, used twice: {} and {}".format(*used_twice))
print("replay, made twice: {} and {}".format(*made_twice))
compare((shared, used_twice, made_twice), ((["ada"], ["bob"]), (["ada"], ["ada"]), (["ada"], ["bob"])))
END
