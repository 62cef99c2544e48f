#!/bin/sh
# Who reaches whom, tried while a listener runs in the network namespace of a second party.
#
#   docker/networks.sh ALICE BOB FIBER COORDINATOR    containers; the fiber is between the two parties
#
# Prints a line for each connection that is tried. Ends with 1 where one that must not come about does, or the reverse.
set -eu
alice=$1 bob=$2 fiber=$3 coordinator=$4
image=$(docker inspect --format '{{.Config.Image}}' "$bob")
name() { docker inspect --format '{{index .Config.Labels "com.docker.compose.service"}}' "$1"; }
# Its name in the scenario, without that of a profile: `node NAME` or `fiber NAME` is what it runs.
short() { docker inspect --format '{{index .Config.Cmd 1}}' "$1"; }
addresses() { docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}' "$1"; }

listen='import socket, time
listening = socket.create_server(("0.0.0.0", 7000))
while True:
    listening.accept()[0].close()'
try='import socket, sys, threading
def tried(host, port):
    try:
        socket.create_connection((host, int(port)), 3).close()
        return "connects"
    except TimeoutError:
        return "times out"
    except socket.gaierror:
        return "does not resolve"
    except OSError as error:
        return error.strerror
who, bad = sys.argv[1], []
def look(asked):
    target, expected = asked.split("=")
    found = tried(*target.rsplit(":", 1))
    bad.extend([asked] * (found not in expected.split("|")))
    sys.stdout.write(f"network: {who} to {target}: {found}\n")
threads = [threading.Thread(target=look, args=(asked,)) for asked in sys.argv[2:]]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
sys.exit(bool(bad))'

helper=$(docker run --detach --rm --network "container:$bob" --cap-drop ALL --entrypoint python "$image" -c "$listen")
trap 'docker kill "$helper" >/dev/null' EXIT
from() { who=$1; shift; docker exec "$who" python -c "$try" "$(name "$who")" "$@"; }

for service in "$fiber" "$coordinator"; do
    until docker exec "$service" test -e /tmp/ready; do sleep 0.2; done
done
set --
for address in $(addresses "$bob"); do set -- "$@" "$address:7000=connects"; done
until from "$bob" "$@" >/dev/null; do sleep 0.2; done # it has begun to listen
code=0
from "$bob" "$@" || code=1
set -- "$(short "$fiber"):5601=connects" "coordinator:5600=connects"
for address in $(addresses "$bob"); do set -- "$@" "$address:7000=times out"; done
from "$alice" "$@" "$(short "$bob"):7000=does not resolve" || code=1
exit $code
