#!/usr/bin/env bash
# Writes the logs beside this script anew: `docs/results/regenerate.sh [PATTERN]` for all of them, or those whose names
# contain PATTERN. One core, an hour and a half in all but for `cost-1000000`, which takes 13 GB of memory and is left out
# unless named. KAD names the program; without it, a release build is made.
set -uo pipefail
cd "$(dirname "$0")/../.."
pattern=${1:-}
if [ -z "${KAD:-}" ]; then
    cargo build --release --locked -p kademlia-node
    KAD=${CARGO_TARGET_DIR:-target}/release/kad
fi

# log NAME LINE COMMAND…: what the command prints, under the line that repeats it, if the log is wanted.
log() {
    local name=$1 line=$2
    shift 2
    case "$name" in *"$pattern"*) ;; *) return 0 ;; esac
    printf '%s\n' "$name"
    {
        printf '$ %s\n' "$line"
        "$@" 2>&1
        printf 'exit code %s\n' "$?"
    } >"docs/results/$name.log"
}

run() {
    local name=$1
    shift
    log "$name" "kad sim $*" "$KAD" sim "$@"
}

# The lookup rows of the gates: 10,000 nodes, and 10,000 announcements where nearly none may be lost.
many=(--nodes 10000 --trials 10000)
gate=(--nodes 10000 --trials 1000)
run "gate-healthy-plain" --scenario healthy "${many[@]}" --reader plain
run "gate-worn-dense" --scenario worn "${many[@]}" --reader dense
for reader in dense reinforced; do
    run "gate-healthy-$reader" --scenario healthy "${gate[@]}" --reader "$reader"
    for scenario in lossy broken; do
        run "gate-$scenario-$reader" --scenario "$scenario" "${gate[@]}" --reader "$reader"
    done
done
run "gate-worn-reinforced" --scenario worn "${gate[@]}" --reader reinforced
run "gate-churning" --scenario churning "${gate[@]}"
run "gate-natted" --scenario natted "${gate[@]}"

# What an attacker achieves against the default search and a hardened one (T1, T2): 500 announcements each.
attacked=(--nodes 10000 --trials 500)
for reader in reinforced hardened; do
    for subnets in 1 8 20 64; do
        run "attack-$subnets-subnets-$reader" --scenario eclipse "${attacked[@]}" --attack "subnets:$subnets" --reader "$reader"
    done
    for share in 10 20; do
        run "attack-$share-percent-$reader" --scenario collusion "${attacked[@]}" --attack "share:0.$share" --reader "$reader"
    done
done

# How long it takes, and what a timeout that learns nothing from round trips would have needed.
for reader in plain reinforced; do
    run "time-adaptive-$reader" --scenario distant "${gate[@]}" --reader "$reader"
    run "time-fixed-$reader" --scenario distant "${gate[@]}" --reader "$reader" --fixed-timeout 2s
done

# What it costs without an attack, as the network grows. Announcements are hardened in all of them.
for reader in plain dense reinforced; do
    for nodes in 1000 10000 100000; do
        run "cost-$nodes-$reader" --nodes "$nodes" --trials 500 --reader "$reader"
    done
done

# Random fault plans.
run "swarm" --swarm --seeds 200 --nodes 100

# The tests at full size, and those that are too long for every change: what the faults and attacks T1 to T23 come to.
tests() {
    # Builds say nothing about the node, and how long a test took nothing about others' machines.
    cargo test --release --workspace --locked "$@" 2>&1 |
        grep -vE '^ *(Compiling|Finished|Running|Locking|Blocking)|has been running for over|^$'
    return "${PIPESTATUS[0]}"
}
suite() {
    local name=$1
    shift
    log "$name" "cargo test --release --workspace --locked $*" tests "$@"
}
suite "full-resilience" --test resilience -- --ignored --nocapture
# The storm of 1,000 nodes takes as long as all the others.
suite "full-simulation" --test simulation -- --ignored --nocapture --skip t23_p22_a_thousand
suite "full-address" --test simulation -- --include-ignored --nocapture t15_
suite "full-memory" --test simulation -- --include-ignored --nocapture memory::
suite "full-storm" --test simulation -- --ignored --nocapture t23_p22_a_thousand
suite "full-kit" --test kit -- --ignored --nocapture
suite "overlays" --test overlay -- --ignored --nocapture

case "$pattern" in cost-1000000*)
    for reader in plain dense reinforced; do
        run "cost-1000000-$reader" --nodes 1000000 --trials 500 --reader "$reader"
    done
    ;;
esac
