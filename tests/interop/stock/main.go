// SPDX-License-Identifier: BSD-3-Clause

// Stock is one stock node: the reference's client (tsnet), unmodified, in the network namespace it
// was started in. It obeys lines of JSON on its standard input, {"do": VERB, ...}, and answers each
// by one line, {"ok": ...} or {"error": "..."}. It ends with its standard input.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"time"

	"tailscale.com/tsnet"
)

var (
	dir  = flag.String("dir", "", "folder for the node's state")
	port = flag.Uint("port", 0, "UDP port; 0: any")
)

// order is one line: the verb, and what some verbs need.
type order struct {
	Do string `json:"do"`

	URL          string `json:"url"`
	AuthKey      string `json:"auth_key"`
	Hostname     string `json:"hostname"`
	AcceptRoutes bool   `json:"accept_routes"`
	ExitNode     string `json:"exit_node"` // an address; "": none

	To        string `json:"to"`       // ADDRESS or ADDRESS:PORT
	Type      string `json:"type"`     // of a ping; of a listener
	Name      string `json:"name"`     // of a flow
	Question  string `json:"question"` // of DNS
	Port      uint16 `json:"port"`
	Bytes     int    `json:"bytes"`
	PerSecond int    `json:"per_second"`
	LimitMS   int    `json:"limit_ms"`
}

func (o *order) limit() time.Duration {
	if o.LimitMS == 0 {
		return 10 * time.Second
	}
	return time.Duration(o.LimitMS) * time.Millisecond
}

func main() {
	flag.Parse()
	log.SetFlags(log.Lmicroseconds)
	node := &node{
		server: &tsnet.Server{Dir: *dir, Port: uint16(*port), Logf: log.Printf, UserLogf: log.Printf},
		flows:  map[string]flow{},
	}
	out := json.NewEncoder(os.Stdout)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var o order
		err := json.Unmarshal(lines.Bytes(), &o)
		var answer any
		if err == nil {
			answer, err = node.obey(&o)
		}
		if err != nil {
			out.Encode(map[string]any{"error": fmt.Sprintf("%s: %v", o.Do, err)})
			continue
		}
		out.Encode(map[string]any{"ok": answer})
	}
}
