# SPDX-License-Identifier: BSD-3-Clause
# The hosts of the demo as commands, `laptop ping -c 1 10.0.0.2`: for demo.sh and for its prompt.
# Not ip netns exec: that mounts a new /sys, without the BPF file system in it.
laptop() { nsenter --net=/run/netns/laptop "$@"; }
inet() { nsenter --net=/run/netns/inet "$@"; }
gw() { nsenter --net=/run/netns/gw "$@"; }
server() { nsenter --net=/run/netns/server "$@"; }

log=/var/log/sallyport-agent.log
start_agent() {
  # 65534 is nobody: the guest has no user sallyport-node.
  # The braces: a prompt's shell announces the job otherwise.
  { gw sallyport-agent --config /etc/sallyport/config.yaml --state /var/lib/sallyport --run /run/sallyport \
    --node-user 65534 >>$log 2>&1 & } 2>/dev/null
  agent=$!
  disown
}
