# SPDX-License-Identifier: BSD-3-Clause
# The demo's prompt: bash --rcfile.
. "$(dirname "${BASH_SOURCE[0]}")/demo_hosts.bash"
eval "$(sallyport completion bash)"
command -v vi >/dev/null || alias vi='busybox vi'
alias ls='ls --color=auto'
PS1='\[\e[1m\]demo\[\e[0m\]:\w# '
HISTFILE=
cd /etc/sallyport

try() {
  cat <<'TEXT'

Every host is a command: laptop, inet, gw, server. Things to try:
  laptop ping -c 3 10.0.0.2                      through the tunnel
  sallyport status                               rules, flows, peers, plan, doctor: all of them talk
  sallyport drops -f &                           then: laptop busybox nc -w 3 10.0.0.2 22
  sed -i 's/ports: \[80\]/ports: [22, 80]/' config.yaml && sallyport reload
  sallyport explain laptop 10.0.0.2:22 tcp       now it is allowed
  sallyport peer add phone --qr                  a phone, in one command
  gw wg show; gw nft list ruleset                what the kernel holds
  pkill -9 sallyport-agent; laptop curl -s http://10.0.0.2/ | sed 1q
                                                 the data plane outlives the agent; `start_agent` brings it back
  sallyport down                                 the kernel as it was
`try` shows this again, `exit` ends the machine.

TEXT
}
try
