// SPDX-License-Identifier: BSD-3-Clause

// Reference is a whole tailnet's outside in one process: the reference's own control server, and,
// if asked for, its DERP server and STUN. It listens on ports that the kernel chooses, says them in
// one line of JSON, and then obeys lines on its standard input, each answered by one line of JSON.
// It ends with its standard input.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"

	"tailscale.com/tailcfg"
	"tailscale.com/tstest/integration/testcontrol"
)

var (
	address     = flag.String("address", "127.0.0.1", "address of every listener without one of its own")
	authKey     = flag.String("auth-key", "", "the one key that registers a node; empty: any")
	requireAuth = flag.Bool("require-auth", false, "nodes log in at a URL")
	withDERP    = flag.Bool("derp", false, "with a DERP server and STUN, in the map of every node")
	derpAt      = flag.String("derp-at", "", "ADDRESS,...: a DERP region with a server and STUN on each")
	derpPlain   = flag.Bool("derp-plain", false, "DERP servers that do not name their keys in a certificate")
	domain      = flag.String("domain", "tail.example.net", "MagicDNS domain")
)

// front lets the control server go and come back on the same port, its state kept.
type front struct {
	control *testcontrol.Server
	regions regions
	address string

	mu       sync.Mutex
	server   *http.Server
	requests map[string]int
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.requests[r.Method+" "+r.URL.Path]++
	f.mu.Unlock()
	if strings.HasPrefix(r.URL.Path, "/ping/") { // where a PingRequest of ours points
		w.WriteHeader(http.StatusOK)
		return
	}
	f.control.ServeHTTP(w, r)
}

func (f *front) start() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.server != nil {
		return fmt.Errorf("runs already")
	}
	listener, err := net.Listen("tcp", f.address)
	if err != nil {
		return err
	}
	f.address = listener.Addr().String()
	f.server = &http.Server{Handler: f, ConnContext: connections.add}
	go f.server.Serve(listener)
	return nil
}

func (f *front) stop() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.server == nil {
		return fmt.Errorf("does not run")
	}
	err := f.server.Close()
	f.server = nil
	// The upgraded connections are no longer the server's to close.
	connections.closeAll()
	return err
}

func (f *front) count(what string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests[what]
}

// obey runs one line: a verb and its arguments, the last of which may contain blanks.
func obey(f *front, line string) (any, error) {
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "nodes":
		return f.control.AllNodes(), nil
	case "fake":
		if len(f.control.AllNodes()) == 0 {
			return nil, fmt.Errorf("a first node has to register itself")
		}
		return addFake(f.control, rest), nil
	case "stop":
		return nil, f.stop()
	case "start":
		return nil, f.start()
	case "visit": // as a person who follows a login URL
		if !f.control.CompleteAuth(rest) {
			return nil, fmt.Errorf("no login under way at %q", rest)
		}
		return nil, nil
	case "expire":
		f.control.SetExpireAllNodes(rest == "on")
		return nil, nil
	case "derp": // start N, stop N, certificate N
		what, number, _ := strings.Cut(rest, " ")
		return f.regions.obey(what, number)
	case "routes", "expiry", "jail":
		return obeyOfNode(f.control, verb, rest)
	case "requests": // how often "METHOD /path" was asked for
		return f.count(rest), nil
	case "raw": // NODEKEY MAPRESPONSE
		text, response, _ := strings.Cut(rest, " ")
		node, err := nodeOf(text)
		if err != nil {
			return nil, err
		}
		var message tailcfg.MapResponse
		if err := json.Unmarshal([]byte(response), &message); err != nil {
			return nil, err
		}
		if !f.control.AddRawMapResponse(node, &message) {
			return nil, fmt.Errorf("%s does not poll", text)
		}
		return nil, nil
	case "ping": // NODEKEY PATH
		text, path, _ := strings.Cut(rest, " ")
		node, err := nodeOf(text)
		if err != nil {
			return nil, err
		}
		request := &tailcfg.PingRequest{URL: "http://" + f.address + "/ping/" + path}
		if !f.control.AddPingRequest(node, request) {
			return nil, fmt.Errorf("%s does not poll", text)
		}
		return nil, nil
	case "c2n": // NODEKEY METHOD PATH [BODY]
		words := strings.SplitN(rest, " ", 4)
		if len(words) < 3 {
			return nil, fmt.Errorf("c2n NODEKEY METHOD PATH [BODY]")
		}
		return c2n(f.control, words[0], words[1], words[2], strings.Join(words[3:], ""))
	}
	return nil, fmt.Errorf("no such verb: %q", verb)
}

func main() {
	flag.Parse()
	log.SetFlags(log.Lmicroseconds)
	control := &testcontrol.Server{
		Logf:           func(string, ...any) {},
		RequireAuth:    *requireAuth,
		RequireAuthKey: *authKey,
		MagicDNSDomain: *domain,
		AllOnline:      true,
		DERPMap:        &tailcfg.DERPMap{OmitDefaultRegions: true},
	}
	f := &front{control: control, address: net.JoinHostPort(*address, "0"), requests: map[string]int{}}
	if *withDERP && *derpAt == "" {
		*derpAt = *address
	}
	if *derpAt != "" {
		f.regions, control.DERPMap = startRegions(strings.Split(*derpAt, ","), *derpPlain)
	}
	if err := f.start(); err != nil {
		log.Fatal(err)
	}
	control.ExplicitBaseURL = "http://" + f.address
	out := json.NewEncoder(os.Stdout)
	out.Encode(map[string]any{"control": control.ExplicitBaseURL, "derp_map": control.DERPMap})

	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		answer, err := obey(f, lines.Text())
		if err != nil {
			out.Encode(map[string]any{"error": err.Error()})
			continue
		}
		out.Encode(map[string]any{"ok": answer})
	}
}
