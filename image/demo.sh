#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The demo, inside the guest: demo.sh PROGRAMS [prompt]. Each host is a network namespace.
#
#     laptop            inet                 gw                server
#   192.0.2.2/24 -- .1      .254 -- 198.51.100.1/24
#  2001:db8:2::2/64 :1      :fe  -- 2001:db8:1::1/64
#                                   10.0.0.1/24 -------- 10.0.0.2/24
#                                   fd00:10::1/64 ------ fd00:10::2/64
#   wg0 100.64.0.2 ===== WireGuard ===== sallyport0 100.64.0.1/24
#       fd77::2                          fd77::1/64
#
# laptop is a plain WireGuard client: wg and ip, nothing of ours.
here=$(dirname "$(readlink -f "$0")")
export PATH=$1:$PATH
prompt=${2:-}
failed=0
# The guest's own: tmpfs.
config=/etc/sallyport/config.yaml
work=/tmp/sallyport-demo

. "$here/demo_hosts.bash"

heading() { printf '\n\033[1m== %s\033[0m\n' "$*" | { [ -t 1 ] && cat || sed 's/\x1b\[[0-9;]*m//g'; }; }
wrong() { echo "! $*"; failed=1; }
# What a person would type, and what it says.
show() { echo "\$ $*"; "$@"; }

veth() { # HOST DEVICE HOST DEVICE
  ip -n "$1" link add "$2" type veth peer name "$4" netns "$3"
}
addresses() { # HOST DEVICE ADDRESS...
  local host=$1 device=$2 address
  shift 2
  for address; do
    case $address in
      *:*) ip -n "$host" addr add "$address" dev "$device" nodad ;;
      *) ip -n "$host" addr add "$address" dev "$device" ;;
    esac
  done
  ip -n "$host" link set "$device" up
}

wire_up() {
  for host in laptop inet gw server; do ip netns add $host; ip -n $host link set lo up; done
  veth laptop eth0 inet lap0
  veth gw wan0 inet gw0
  veth gw lan0 server eth0
  addresses laptop eth0 192.0.2.2/24 2001:db8:2::2/64
  addresses inet lap0 192.0.2.1/24 2001:db8:2::1/64
  addresses inet gw0 198.51.100.254/24 2001:db8:1::fe/64
  addresses gw wan0 198.51.100.1/24 2001:db8:1::1/64
  addresses gw lan0 10.0.0.1/24 fd00:10::1/64
  addresses server eth0 10.0.0.2/24 fd00:10::2/64
  inet sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
  ip -n laptop route add default via 192.0.2.1
  ip -n laptop route add default via 2001:db8:2::1
  ip -n gw route add default via 198.51.100.254
  ip -n gw route add default via 2001:db8:1::fe
  ip -n server route add default via 10.0.0.1
  ip -n server route add default via fd00:10::1
}

serve_page() {
  mkdir -p $work/www
  { echo "Hello from the server on the LAN."; seq 1 20000; } >$work/www/index.html
  # Both listen, so what keeps the laptop from port 22 is the gateway and nothing else.
  server busybox httpd -p '[::]:80' -h $work/www
  server busybox httpd -p '[::]:22' -h $work/www
}

write_config() {
  cat >$config <<YAML
version: 1
node:
  hostname: gw
  addresses: [100.64.0.1/24, "fd77::1/64"]
  public_endpoint: 198.51.100.1
peers:
  - {name: laptop, public_key: "$(wg pubkey <$work/laptop.key)", allowed_ips: [100.64.0.2/32, "fd77::2/128"]}
lan:
  - {name: office, prefix: 10.0.0.0/24, device: lan0, snat: off}
  - {name: office6, prefix: "fd00:10::/64", device: lan0, snat: off}
rules:
  - {id: web, from: [laptop], to: [lan], proto: [tcp], ports: [80]}
  - {id: ping, from: [laptop], to: [lan], proto: [icmp, icmpv6]}
YAML
  chmod 600 $config
}

start_gateway() {
  start_agent
  local i
  for ((i = 0; i < 600; i++)); do
    [ -e /run/sallyport/agent.ready ] && return
    kill -0 "$agent" 2>/dev/null || break
    ((i % 50 == 49)) && echo "# waiting for the agent"
    sleep 0.1
  done
  cat $log
  wrong "the agent does not serve"
  return 1
}

connect_laptop() {
  local key port
  key=$(gw wg show sallyport0 public-key)
  port=$(gw wg show sallyport0 listen-port)
  ip -n laptop link add wg0 type wireguard
  laptop wg set wg0 private-key $work/laptop.key peer "$key" endpoint "198.51.100.1:$port" \
    allowed-ips 100.64.0.0/24,10.0.0.0/24,fd77::/64,fd00:10::/64
  ip -n laptop link set wg0 mtu 1420
  addresses laptop wg0 100.64.0.2/32 fd77::2/128
  for prefix in 100.64.0.0/24 10.0.0.0/24 fd77::/64 fd00:10::/64; do ip -n laptop route add $prefix dev wg0; done
}

fetch() { # URL
  show laptop curl -sS -g -m 20 -o $work/fetched "$1"
  if cmp $work/www/index.html $work/fetched; then
    echo "$(stat -c %s $work/fetched) bytes, the same as on the server: $(head -1 $work/fetched)"
  else
    wrong "the page did not come, or not as it is"
  fi
  rm -f $work/fetched
}

the_denied_port() {
  echo "The server listens on port 22, and its neighbours reach it:"
  show gw busybox nc -w 5 10.0.0.2 22 </dev/null && echo "It is open." || wrong "port 22 does not listen"
  echo "No rule lets the laptop there, and the gateway tells it so at once:"
  if show laptop busybox nc -w 10 10.0.0.2 22 </dev/null; then wrong "port 22 is open"; fi
}

the_reason() {
  show sallyport drops
  sallyport --json drops | grep -o '{[^{}]*"dst":"10.0.0.2:22"[^{}]*}' | grep -q '"reason":"no_rule"' ||
    wrong "drops does not name the reason"
  echo
  show sallyport explain laptop 10.0.0.2:22 tcp
  [ $? -eq 10 ] || wrong "explain does not answer 10"
  sallyport --json explain laptop 10.0.0.2:22 tcp | grep -q '"reason":"no_rule"' ||
    wrong "explain does not name the reason"
}

mkdir -p $work
(umask 077 && wg genkey >$work/laptop.key)
heading "Four hosts: laptop - internet - gateway - server on the LAN"
wire_up
serve_page
write_config
sed -n '/^rules/,$p' $config
heading "The gateway starts"
if start_gateway; then
  connect_laptop
  heading "The laptop fetches a page from the LAN, through the tunnel"
  fetch "http://10.0.0.2/"
  fetch "http://[fd00:10::2]/"
  heading "A port that no rule opens"
  the_denied_port
  heading "Why was it denied?"
  the_reason
  heading "The gateway's status"
  show sallyport status
  sallyport --json status | grep -q '"state":"Running"' || wrong "the state is not Running"
fi
if [ "$prompt" ]; then
  [ $failed = 0 ] || echo "! something went wrong above; its log: $log"
  exec bash --rcfile "$here/demo_prompt.bash" -i
fi
heading "$([ $failed = 0 ] && echo "All as it should be" || echo "Something is not as it should be")"
[ $failed = 0 ] || tail -20 $log
exit $failed
