#!/usr/bin/env bash
# A random agent that uses only curl: bash examples/random_agent.sh [server] [environment]
set -euo pipefail
server=${1:-http://127.0.0.1:5000}
environment=${2:-CartPole-v1}

post() { curl --silent --show-error --fail-with-body -X POST "$server/v1/envs/$1" -H 'Content-Type: application/json' -d "$2"; }
field() { sed -n "s/.*\"$1\":\"\{0,1\}\([^,\"}]*\).*/\1/p"; }

instance=$(post "" "{\"env_id\": \"$environment\"}" | field instance_id)
trap 'post "$instance/close/" "{}"' EXIT
post "$instance/reset/" '{"seed": 0}' > /dev/null
total=0
for step in $(seq 1000); do
  action=$(curl --silent --fail "$server/v1/envs/$instance/action_space/sample" | sed 's/^{"action"://; s/}$//')
  answer=$(post "$instance/step/" "{\"action\": $action, \"seq\": $step}")
  total=$(awk "BEGIN { print $total + $(echo "$answer" | field reward) }")
  [ "$(echo "$answer" | field done)" = true ] && break
done
echo "return $total after $step steps"
