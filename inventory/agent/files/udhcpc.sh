#!/bin/busybox sh
# Called by udhcpc with each change of the lease; see udhcpc's option -s. All values were checked by udhcpc: they are
# addresses. Names and domains that a DHCP server sends are not used.
PATH=/bin:/sbin
ip() { /bin/busybox ip "$@"; }

case "$1" in
deconfig)
    ip link set "$interface" up
    ip -4 addr flush dev "$interface"
    /bin/busybox rm -f "/run/overture/address.$interface"
    ;;
bound | renew)
    # Setting the address that is already set leaves routes and connections alone.
    /bin/busybox ifconfig "$interface" "$ip" netmask "${subnet:-255.255.255.0}" broadcast "${broadcast:-+}"
    for gateway in $router; do
        ip route replace default via "$gateway" dev "$interface"
        break
    done
    echo "$ip/${mask:-24}" >"/run/overture/address.$interface.new"
    /bin/busybox mv "/run/overture/address.$interface.new" "/run/overture/address.$interface"
    ;;
esac
exit 0
