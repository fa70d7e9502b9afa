# shellcheck shell=bash
# Sourced by the scripts beside it: where things live and how they speak.

# Tests and tools are Debian's; another python may come first in PATH.
# shellcheck disable=SC2034
PYTHON=/usr/bin/python3
KAFKA_VERSION=${FERRY_KAFKA_VERSION:-3.9.1}

if [ -z "${FERRY_CACHE:-}" ]; then
    if [ "$(id -u)" = 0 ]; then
        FERRY_CACHE=/var/cache/ferryd
    else
        FERRY_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/ferryd
    fi
fi
# shellcheck disable=SC2034
KAFKA_LIBS=$FERRY_CACHE/kafka-$KAFKA_VERSION/libs
# Kafka's jars, and the logger that they leave to the reader's choice.
kafka_is_in() { [ -e "$1/kafka_2.13-$KAFKA_VERSION.jar" ] && compgen -G "$1/slf4j-reload4j-*.jar" >/dev/null; }

SELF=${0##*/}
say() { printf '%s: %s\n' "$SELF" "$*"; }
warn() { printf '%s: %s\n' "$SELF" "$*" >&2; }
die() {
    warn "$*"
    exit 1
}

# Milliseconds on a clock that nobody sets.
now_ms() {
    local up
    read -r up _ </proc/uptime
    up=${up/./}
    echo "$((10#$up * 10))"
}

# Renders milliseconds as seconds with one decimal.
secs() { printf '%d.%d s' $(($1 / 1000)) $(($1 % 1000 / 100)); }
