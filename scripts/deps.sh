#!/usr/bin/env bash
# Installs what building and testing need, and says what cannot be had. Starts no service, installs no kernel.
set -euo pipefail

packages=(
    gcc libc6-dev ca-certificates curl                # building
    kmod busybox-static cpio                          # the ramdisk
    qemu-system-x86 ovmf ipxe ipxe-qemu               # virtual machines and their firmware
    iproute2 ethtool procps                           # the lab's network
    lldpd                                             # what the lab's switches say of themselves
    tftp-hpa dnsmasq-base udev                        # clients and peers of the tests
    postgresql                                        # a database of the tests, started by them
    util-linux e2fsprogs dosfstools fdisk             # what the tests write on disks, and recognise
)

fail() { printf 'make deps: %s\n' "$*" >&2; exit 1; }

wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$(dirname "$0")/../Cargo.toml" | head -n 1)
command -v cargo >/dev/null && command -v rustc >/dev/null || {
    # sudo replaces PATH, also with -E.
    [ -z "${SUDO_USER:-}" ] || fail "no Rust toolchain is in root's PATH: keep yours with 'sudo -E env \"PATH=\$PATH\" make …', or install Rust $wanted or newer by rustup"
    fail "no Rust toolchain is installed: install Rust $wanted or newer by rustup (Debian's own rustc is too old)"
}
have=$(rustc --version | cut -d ' ' -f 2)
[ "$(printf '%s\n%s\n' "$wanted" "${have%%-*}" | sort -V | head -n 1)" = "$wanted" ] ||
    fail "Rust $have is too old: run 'rustup update stable' to get $wanted or newer"

[ "$(uname -m)" = x86_64 ] || fail "this is $(uname -m): Overture is built and tested on x86_64"
command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
    fail "this is not Debian: install the counterparts of these packages yourself: ${packages[*]}"

for tool in cargo-fmt cargo-clippy; do
    [ "${1:-}" != lint ] || command -v $tool >/dev/null || fail "$tool is missing, which 'make test' needs: run 'rustup component add rustfmt clippy'"
done

missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing+=("$package")
done
# The ramdisk's kernel is downloaded by apt, unpacked and never installed; apt must know it.
lists=0
apt-cache show linux-image-amd64 >/dev/null 2>&1 || lists=1
[ ${#missing[@]} -gt 0 ] || [ "$lists" = 1 ] || exit 0

[ "$(id -u)" = 0 ] ||
    fail "these packages are missing: ${missing[*]:-(none, but apt has no package lists)}; run as root: make deps"

# dpkg asks this program before it starts a service; 101 forbids it (Debian policy, invoke-rc.d).
policy=/usr/sbin/policy-rc.d
ours='#!/bin/sh
# Made by "make deps" of Overture while it installs; left here, it was interrupted: remove it.
exit 101'
if [ ! -e $policy ] || [ "$(cat $policy)" = "$ours" ]; then
    printf '%s\n' "$ours" >$policy
    chmod 755 $policy
    trap 'rm -f $policy' EXIT
fi
# Debian makes a database cluster with the server; the tests make their own. A cluster that is there stays.
no_cluster=/etc/postgresql-common/createcluster.d/overture.conf
case " ${missing[*]} " in *" postgresql "*)
    mkdir -p ${no_cluster%/*}
    printf '# Made by "make deps" of Overture while it installs; left here, it was interrupted: remove it.\ncreate_main_cluster = false\n' >$no_cluster
    trap 'rm -f $no_cluster; rmdir -p --ignore-fail-on-non-empty ${no_cluster%/*} 2>/dev/null || true; [ "$(cat $policy 2>/dev/null)" != "$ours" ] || rm -f $policy' EXIT
esac
log=$(mktemp)
echo "make deps: installing ${missing[*]:-package lists}"
if ! { apt-get update -q && { [ ${#missing[@]} = 0 ] || DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"; }; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    fail "apt could not install them; its whole output is in $log"
fi
rm -f "$log"
