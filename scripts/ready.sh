#!/usr/bin/env bash
# Whether this machine lets us make network namespaces and taps, which the lab and the tests need.
set -euo pipefail

fail() { printf '%s: %s\n' "${WHAT:-make}" "$*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || fail "network namespaces and taps need root: run 'sudo -E env \"PATH=\$PATH\" ${WHAT:-make}'"
name="ov-ready-$$"
error=$(ip netns add "$name" 2>&1) ||
    fail "this machine forbids network namespaces ($error): in a container, run it with --privileged, or use a virtual machine"
ip netns delete "$name"
[ -c /dev/net/tun ] ||
    fail "there is no /dev/net/tun: load the module with 'modprobe tun', or give the container the device (--device /dev/net/tun)"
