#!/bin/sh
# Writes the tables in docs/lookups.md anew, between the two marks there, from the logs beside this script. Needs awk.
# What has no log has no cell or row; the same logs give the same page.
set -eu
export LC_ALL=C
cd "$(dirname "$0")"
page=../lookups.md
tables=$(mktemp)
trap 'rm -f "$tables" "$tables.page"' EXIT

awk '
function thousands(n,    text) {
    text = n ""
    while (text ~ /[0-9][0-9][0-9][0-9]($|,)/) {
        match(text, /[0-9][0-9][0-9]($|,)/)
        text = substr(text, 1, RSTART - 1) "," substr(text, RSTART)
    }
    return text
}
# The median, and the 99th percentile or the 95th.
function pair(log_, what, percentile,    key) {
    key = log_ SUBSEP what
    if (!(key in p50)) return "–"
    return thousands(p50[key]) " · " thousands(percentile == 95 ? p95[key] : p99[key])
}
function flag(name, fallback,    i) {
    for (i = 1; i < NF; i++) if ($i == "--" name) return $(i + 1)
    return fallback
}
FNR == 1 {
    file = FILENAME
    sub(/\.log$/, "", file)
    logs[++count] = file
    scenario[file] = flag("scenario", "healthy")
    reader[file] = flag("reader", "reinforced")
    nodes[file] = flag("nodes", 1000)
}
/^(search (messages|hops|time)|first peer after|announcement (messages|hops|time))/ {
    gsub(/ ms/, "")
    max = $NF; key = file SUBSEP $1 " " $2
    p50[key] = $(NF - 3); p95[key] = $(NF - 2); p99[key] = $(NF - 1); most[key] = max
}
/ announcements were found$/ { found[file] = $1; trials[file] = $3 }
END {
    costs()
    gates()
    times()
}

function costs(    i, n, sizes, row, kinds, units, kind, unit, cells, file, what, line) {
    for (i = 1; i <= count; i++) if (logs[i] ~ /^cost-/ && logs[i] in found) {
        cost[nodes[logs[i]], reader[logs[i]]] = logs[i]
        if (!(nodes[logs[i]] in seen)) { seen[nodes[logs[i]]]; size[++sizes] = nodes[logs[i]] }
    }
    for (i = 2; i <= sizes; i++) for (n = i; n > 1 && size[n] + 0 < size[n - 1] + 0; n--) {
        row = size[n]; size[n] = size[n - 1]; size[n - 1] = row
    }
    print "### What it costs when nothing is wrong\n"
    print "Each cell: median · 99th percentile.\n"
    line = "| nodes |"; row = "|---|"
    for (i = 1; i <= sizes; i++) { line = line " " thousands(size[i]) " |"; row = row "---:|" }
    print line "\n" row
    split("plain dense reinforced hardened", kinds, " ")
    split("messages hops time", units, " ")
    for (kind = 1; kind <= 4; kind++) for (unit = 1; unit <= 3; unit++) {
        what = (kind == 4 ? "announcement " : "search ") units[unit]
        line = "| " kinds[kind] " " what (unit == 3 ? ", ms" : "") " |"
        for (i = 1; i <= sizes; i++) {
            # Announcements are hardened in all of them.
            file = cost[size[i], kind == 4 ? "plain" : kinds[kind]]
            if (kind == 4 && file == "") file = cost[size[i], "reinforced"]
            line = line " " pair(file, what, 99) " |"
        }
        print line
    }
}

function gates(    order, readers, n, rank, kind, i) {
    print "\n### What is found in 10,000 nodes\n"
    print "| scenario | search | found | messages | first peer, ms | announcement messages |"
    print "|---|---|---:|---:|---:|---:|"
    n = split("healthy worn lossy broken churning natted", order, " ")
    split("plain dense reinforced hardened", readers, " ")
    for (rank = 1; rank <= n; rank++) for (kind = 1; kind <= 4; kind++) for (i = 1; i <= count; i++)
        if (logs[i] ~ /^gate-/ && scenario[logs[i]] == order[rank] && reader[logs[i]] == readers[kind]) gate(logs[i])
    print "\nEach cell: median · 99th percentile. `kad sim --help` says what each scenario is."
}

function gate(log_) {
    if (!(log_ in found)) return
    print "| " scenario[log_] " | " reader[log_] " | " thousands(found[log_]) " of " thousands(trials[log_]) \
        " | " pair(log_, "search messages", 99) " | " pair(log_, "first peer", 99) \
        " | " pair(log_, "announcement messages", 99) " |"
}

function times(    i, timeouts, kinds, t, k, log_, a, f) {
    print "\n### Time to the first peer, 30 % of all contacts dead\n"
    print "| search | timeout | first peer p50, ms | p95 | p99 | most | search p50, ms | p99 |"
    print "|---|---|---:|---:|---:|---:|---:|---:|"
    split("plain reinforced", kinds, " ")
    split("adaptive fixed", timeouts, " ")
    for (k = 1; k <= 2; k++) for (t = 1; t <= 2; t++) {
        log_ = "time-" timeouts[t] "-" kinds[k]
        if (!(log_ in found)) continue
        a = log_ SUBSEP "first peer"; f = log_ SUBSEP "search time"
        print "| " kinds[k] " | " (t == 1 ? "learned from round trips" : "2 s for every request") \
            " | " thousands(p50[a]) " | " thousands(p95[a]) " | " thousands(p99[a]) " | " thousands(most[a]) \
            " | " thousands(p50[f]) " | " thousands(p99[f]) " |"
    }
    a = "time-adaptive-plain" SUBSEP "first peer"; f = "time-fixed-plain" SUBSEP "first peer"
    if (a in p95 && f in p95)
        printf "\nWith 2 s for every request, one plain search in twenty would wait %s ms for its first peer instead of %s ms.\n", \
            thousands(p95[f]), thousands(p95[a])
}
' cost-*.log gate-*.log time-*.log >"$tables"

awk -v tables="$tables" '
/^<!-- end of the figures -->$/ { inside = 0 }
!inside
/^<!-- figures: / {
    inside = 1
    print ""
    while ((getline line < tables) > 0) print line
    print ""
}
' "$page" >"$tables.page"
cat "$tables.page" >"$page"
