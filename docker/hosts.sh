#!/bin/sh
# The digits on four hosts without containers: network namespaces, each with an address of its own, and a cable only
# between those that must meet. Needs root and iproute2. Removes all that it makes; nothing outside is touched.
set -eu
ketwire=$(realpath "${KETWIRE:-ketwire}")
[ "$(id -u)" = 0 ] || { echo "demo-hosts: needs root, to make network namespaces" >&2; exit 2; }
command -v ip >/dev/null || { echo "demo-hosts: needs the command ip (Debian and Ubuntu: apt install iproute2)" >&2; exit 2; }
folder=$(mktemp -d)
space() { echo "ketwire-$$-$1"; }
address() {
    case $1 in
    coordinator) echo 198.18.0.1 ;; alice) echo 198.18.0.2 ;; bob) echo 198.18.0.3 ;; alice-bob) echo 198.18.0.4 ;;
    esac
}
running=
over() {
    code=$?
    trap '' INT TERM HUP
    for process in $running; do kill -TERM "$process" 2>/dev/null || true; done
    wait
    for host in coordinator alice bob alice-bob; do ip netns del "$(space $host)" 2>/dev/null || true; done
    rm -rf "$folder"
    exit "$code"
}
trap over EXIT
trap 'exit 130' INT TERM HUP

for host in coordinator alice bob alice-bob; do
    ip netns add "$(space $host)"
    ip -n "$(space $host)" link set lo up
    ip -n "$(space $host)" addr add "$(address $host)/32" dev lo
    ip netns exec "$(space $host)" sh -c 'echo 0 > /proc/sys/net/ipv4/ip_forward'
done
cable() { # ONE OTHER: a pair of interfaces, and on either side the way to the other's address
    ip -n "$(space "$1")" link add "to-$2" type veth peer name "to-$1" netns "$(space "$2")"
    for side in "$1 $2" "$2 $1"; do
        set -- $side
        ip -n "$(space "$1")" link set "to-$2" up
        ip -n "$(space "$1")" route add "$(address "$2")" dev "to-$2" src "$(address "$1")"
    done
}
for host in alice bob alice-bob; do cable coordinator $host; done
cable alice alice-bob
cable bob alice-bob

on() { host=$1; shift; (cd "$folder" && exec ip netns exec "$(space "$host")" "$ketwire" "$@"); }
(cd "$folder" && "$ketwire" keys keys digits --split)
at="--coordinator $(address coordinator):5600"
# shellcheck disable=SC2086
for host in alice bob; do
    on $host node $host $at --keys keys/$host &
    running="$running $!"
done
# shellcheck disable=SC2086
on alice-bob fiber alice-bob $at --bind "$(address alice-bob):5601" --keys keys/alice-bob &
running="$running $!"

# While a listener runs on bob's host.
python3=$(dirname "$ketwire")/python
ip netns exec "$(space bob)" "$python3" -c 'import socket
listening = socket.create_server(("0.0.0.0", 7000))
while True:
    listening.accept()[0].close()' &
running="$running $!"
tries() { # WHO WHOM
    ip netns exec "$(space "$1")" "$python3" -c 'import socket, sys, time
who, whom, host = sys.argv[1:]
for _ in range(50):
    try:
        socket.create_connection((host, 7000), 3).close()
        print(f"network: {who} to {whom} at {host}: connects")
        sys.exit(0)
    except ConnectionRefusedError:
        time.sleep(0.1)
    except OSError as error:
        print(f"network: {who} to {whom} at {host}: {error.strerror or error}")
        sys.exit(1)' "$1" "$2" "$(address "$2")"
}
tries bob bob
tries alice-bob bob
! tries alice bob || { echo "demo-hosts: alice reaches bob" >&2; exit 1; }

on coordinator coordinator digits --bind "$(address coordinator):5600" --keys keys/coordinator
