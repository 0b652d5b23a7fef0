// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"tailscale.com/tailcfg"
	"tailscale.com/tstest/integration/testcontrol"
	"tailscale.com/types/key"
)

func nodeOf(text string) (key.NodePublic, error) {
	var node key.NodePublic
	err := node.UnmarshalText([]byte(text))
	return node, err
}

// obeyOfNode runs a verb about a node that has registered: "routes NODEKEY PREFIX,...", "expiry
// NODEKEY SECONDS" (from now; negative: past), "jail NODEKEY PEERKEY on|off". Everybody is told.
func obeyOfNode(control *testcontrol.Server, verb, rest string) (any, error) {
	words := strings.Fields(rest)
	if len(words) == 0 {
		return nil, fmt.Errorf("%s NODEKEY ...", verb)
	}
	nodeKey, err := nodeOf(words[0])
	if err != nil {
		return nil, err
	}
	node := control.Node(nodeKey)
	if node == nil {
		return nil, fmt.Errorf("%s has not registered", words[0])
	}
	words = words[1:]
	switch {
	case verb == "routes" && len(words) <= 1:
		var routes []netip.Prefix
		for _, text := range strings.FieldsFunc(strings.Join(words, ""), func(r rune) bool { return r == ',' }) {
			prefix, err := netip.ParsePrefix(text)
			if err != nil {
				return nil, err
			}
			routes = append(routes, prefix)
		}
		control.SetSubnetRoutes(nodeKey, routes)
		return nil, nil
	case verb == "expiry" && len(words) == 1:
		after, err := time.ParseDuration(words[0] + "s")
		if err != nil {
			return nil, err
		}
		node.KeyExpiry = time.Now().Add(after).UTC()
		control.UpdateNode(node)
		return nil, nil
	case verb == "jail" && len(words) == 2:
		peer, err := nodeOf(words[0])
		if err != nil {
			return nil, err
		}
		control.SetJailed(nodeKey, peer, words[1] == "on")
		return nil, nil
	}
	return nil, fmt.Errorf("%s: what is %q", verb, rest)
}

type fake struct {
	ID   int64  `json:"id"`
	Key  string `json:"key"`
	Name string `json:"name"`
	IP   string `json:"ip"`
}

// addFake makes a peer that is nobody, and tells everybody of it.
func addFake(control *testcontrol.Server, name string) fake {
	number := len(control.AllNodes()) + 101
	ip := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64, 1, uint8(number)}), 32)
	node := &tailcfg.Node{
		ID:                tailcfg.NodeID(number),
		StableID:          tailcfg.StableNodeID(fmt.Sprintf("FAKE%d", number)),
		Name:              name + "." + control.MagicDNSDomain + ".",
		User:              1,
		Machine:           key.NewMachine().Public(),
		Key:               key.NewNode().Public(),
		DiscoKey:          key.NewDisco().Public(),
		MachineAuthorized: true,
		Addresses:         []netip.Prefix{ip},
		AllowedIPs:        []netip.Prefix{ip},
		Hostinfo:          (&tailcfg.Hostinfo{OS: "linux", Hostname: name}).View(),
	}
	control.UpdateNode(node)
	return fake{int64(number), node.Key.String(), node.Name, ip.Addr().String()}
}
