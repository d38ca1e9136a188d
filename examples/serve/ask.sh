#!/bin/sh
# Asks about one image. Prints the decision; the exit code is 0 only when it is `allow`.
set -eu
server=${ATHENA_SERVER:-http://127.0.0.1:8080}
# --fail-with-body would hide the record of an image without a verdict: the decision is what counts.
answer=$(curl --silent --show-error --max-time 90 --dump-header - --output /dev/null \
    --header 'Content-Type: application/octet-stream' --header 'Expect:' \
    --data-binary "@$1" "$server/v1/classify")
decision=$(printf '%s' "$answer" | tr -d '\r' | sed -n 's/^athena-decision: //p')
echo "${decision:-none}"
[ "$decision" = allow ]
