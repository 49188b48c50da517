#!/usr/bin/env bash
# The demonstration: virtual machines on an isolated network, from power-on to the inventory.
set -euo pipefail
overture=$1 boot=$2 nodes=$3
lab=demo

down() { "$overture" lab down --name $lab "$@"; }
# What a demonstration that failed leaves is what there is to look at.
end() {
    [ "$1" != 0 ] || { down; return; }
    logs=$(mktemp -d "${TMPDIR:-/tmp}/overture-demo.XXXXXX")
    down --logs "$logs" >/dev/null
    # There is none when there was no lab yet.
    rmdir "$logs" 2>/dev/null || echo "The demonstration failed; its logs and the machines' serial lines are in $logs" >&2
}

down >/dev/null 2>&1 || down
[ -n "${KEEP:-}" ] || trap 'end $?' EXIT
started=$(date +%s)
"$overture" lab up --name $lab --nodes "$nodes" --boot-files "$boot"
socket=$("$overture" lab status --name $lab --output json | sed -n 's/.*"socket": "\(.*\)".*/\1/p')
echo
echo "\$ overture nodes list"
"$overture" --socket "$socket" nodes list
echo
echo "\$ overture explain VM-0001"
"$overture" --socket "$socket" explain VM-0001
echo
echo "$nodes machines from power-on to the inventory in $(($(date +%s) - started)) s."
if [ -n "${KEEP:-}" ]; then
    trap - EXIT
    echo "They keep running. Look around, then remove everything:"
    echo "  $overture --socket $socket nodes show VM-0001"
    echo "  $overture lab console --name $lab vm1"
    echo "  $overture lab down --name $lab"
fi
