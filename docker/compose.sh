#!/bin/sh
# Runs a scenario in containers: builds the image, starts everything, follows the coordinator, and removes all that it
# started. Ends with the coordinator's exit code.
#
#   docker/compose.sh              the default profile of compose.yaml, digits
#   PROFILE=eve docker/compose.sh  another one: digits, repeaters, eve, training
#   SCENARIO=my.yaml docker/compose.sh
#   docker/compose.sh kill         the training; one process of it, VICTIM (alice), is killed meanwhile
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
export KETWIRE_SOURCE="$here" COMPOSE_PROJECT_NAME="${COMPOSE_PROJECT_NAME:-ketwire-$$}"
[ ! -d "$here/wheelhouse" ] || export KETWIRE_WHEELS="${KETWIRE_WHEELS:-wheelhouse}"
folder=$(mktemp -d)
file=$here/compose.yaml
profile=${PROFILE:-digits}
if [ "${1:-}" = kill ]; then
    profile=training
fi
prefix=$profile-
if [ -n "${SCENARIO:-}" ]; then
    file=$folder/compose.yaml prefix=
    "${KETWIRE:-$here/.venv/bin/ketwire}" compose "$SCENARIO" -o "$file"
fi
compose() { docker compose --file "$file" --project-directory "$here" --profile "$profile" "$@"; }
# Whatever ends this, an interrupt too, ends all containers; `up` and `logs` are told by the terminal as well.
over() {
    code=$?
    trap '' INT TERM HUP
    compose down --volumes --timeout 3 >"$folder/down" 2>&1 || { cat "$folder/down" >&2; code=1; }
    rm -rf "$folder"
    exit "$code"
}
trap over EXIT
trap 'exit 130' INT TERM HUP

compose build --quiet
if [ "${1:-}" != kill ]; then
    # Two parties that share a fiber do nothing at first, so that it can be tried whom they reach.
    fiber=$(compose config --services | sed "s/^$prefix//" | grep -m 1 -- -)
    alice=$prefix${fiber%-*} bob=$prefix${fiber#*-}
    idle='{entrypoint: [sh, -c, "sleep 600", sh], restart: "no", healthcheck: {disable: true}}'
    printf 'services:\n  %s: %s\n  %s: %s\n' "$alice" "$idle" "$bob" "$idle" >"$folder/idle.yaml"
    compose --file "$folder/idle.yaml" up --detach --no-build >"$folder/up" 2>&1 || { cat "$folder/up" >&2; exit 1; }
    id() { compose ps --quiet "$1"; }
    "$here/docker/networks.sh" "$(id "$alice")" "$(id "$bob")" "$(id "$prefix$fiber")" "$(id "${prefix}coordinator")"
fi
compose up --detach --no-build >"$folder/up" 2>&1 || { cat "$folder/up" >&2; exit 1; }
coordinator=$(compose ps --all --quiet "${prefix}coordinator")
page=$(compose ps --all --quiet "${prefix}page" 2>/dev/null || true)
[ -z "$page" ] || until docker logs "$page" | grep serving; do sleep 0.2; done
follow() { docker logs --follow "$coordinator"; }

if [ "${1:-}" = kill ]; then
    victim=$prefix${VICTIM:-alice}
    follow &
    # A few seconds after its first checkpoint.
    until compose exec -T "${prefix}coordinator" sh -c 'ls /checkpoints/commit.* >/dev/null 2>&1'; do
        sleep 0.5
        [ "$(docker inspect --format '{{.State.Running}}' "$coordinator")" = true ] || break
    done
    echo "docker: killing ketwire in $victim" >&2
    # All processes of its container but the first, which then ends too, and is started again by its restart policy.
    compose exec -T "$victim" sh -c 'kill -KILL -1' || true
    wait
    transcript=$(docker logs "$coordinator" 2>&1 | sed -n 's/.*session training is over, transcript //p')
    echo "docker: the same training in one process, which nobody kills" >&2
    docker run --rm --network none "${KETWIRE_IMAGE:-ketwire}" run train-breast-cancer --inline --json >"$folder/told"
    grep -q "\"$transcript\"" "$folder/told" || { echo "docker: the transcripts differ" >&2; exit 1; }
    echo "docker: the same transcript, $transcript" >&2
else
    follow
fi
exit "$(docker wait "$coordinator")"
