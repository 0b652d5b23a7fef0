// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"crypto/tls"
	"log"
	"net"
	"net/http"
	"net/http/httptest"

	"tailscale.com/derp/derpserver"
	"tailscale.com/net/stunserver"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
)

// startDERP runs one DERP server and one STUN server and returns the map that names them.
func startDERP(address string) *tailcfg.DERPMap {
	quiet := func(string, ...any) {}
	derp := derpserver.New(key.NewNode(), quiet)
	listener, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		log.Fatal(err)
	}
	web := httptest.NewUnstartedServer(derpserver.Handler(derp))
	web.Listener.Close()
	web.Listener = listener
	web.Config.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){} // no h2
	web.StartTLS()

	stun := stunserver.New(context.Background())
	if err := stun.Listen(net.JoinHostPort(address, "0")); err != nil {
		log.Fatal(err)
	}
	go stun.Serve()

	return &tailcfg.DERPMap{
		OmitDefaultRegions: true,
		Regions: map[int]*tailcfg.DERPRegion{1: {
			RegionID: 1, RegionCode: "lab", RegionName: "Lab",
			Nodes: []*tailcfg.DERPNode{{
				Name: "1a", RegionID: 1, HostName: address, IPv4: address,
				STUNPort:         stun.LocalAddr().(*net.UDPAddr).Port,
				DERPPort:         listener.Addr().(*net.TCPAddr).Port,
				InsecureForTests: true,
			}},
		}},
	}
}
