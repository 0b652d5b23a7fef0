// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"

	"tailscale.com/derp/derpserver"
	"tailscale.com/net/stunserver"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
)

// region is one DERP server and one STUN server on an address. The DERP server may go and come back
// on the same port, a new server with the same key; STUN stays.
type region struct {
	private  key.NodePrivate
	derpAt   string
	stunPort int
	derp     *derpserver.Server
	web      *httptest.Server
}

func newRegion(address string) (*region, error) {
	r := &region{private: key.NewNode(), derpAt: net.JoinHostPort(address, "0")}
	if err := r.start(); err != nil {
		return nil, err
	}
	stun := stunserver.New(context.Background())
	if err := stun.Listen(net.JoinHostPort(address, "0")); err != nil {
		return nil, err
	}
	go stun.Serve()
	r.stunPort = stun.LocalAddr().(*net.UDPAddr).Port
	return r, nil
}

func (r *region) start() error {
	if r.web != nil {
		return fmt.Errorf("runs already")
	}
	listener, err := net.Listen("tcp", r.derpAt)
	if err != nil {
		return err
	}
	r.derpAt = listener.Addr().String()
	r.derp = derpserver.New(r.private, func(string, ...any) {})
	r.web = httptest.NewUnstartedServer(derpserver.Handler(r.derp))
	r.web.Listener.Close()
	r.web.Listener = listener
	r.web.Config.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){} // no h2
	r.web.StartTLS()
	return nil
}

func (r *region) stop() error {
	if r.web == nil {
		return fmt.Errorf("does not run")
	}
	r.web.Listener.Close()
	r.web.CloseClientConnections()
	r.derp.Close() // the connections that were handed on to it
	r.web = nil
	return nil
}

// regions are numbered from 1 in the order of their addresses.
type regions []*region

func startRegions(addresses []string) (regions, *tailcfg.DERPMap) {
	var all regions
	named := &tailcfg.DERPMap{OmitDefaultRegions: true, Regions: map[int]*tailcfg.DERPRegion{}}
	for i, address := range addresses {
		r, err := newRegion(address)
		if err != nil {
			log.Fatal(err)
		}
		all = append(all, r)
		_, port, _ := net.SplitHostPort(r.derpAt)
		derpPort, _ := strconv.Atoi(port)
		id := i + 1
		named.Regions[id] = &tailcfg.DERPRegion{
			RegionID: id, RegionCode: fmt.Sprintf("lab%d", id), RegionName: fmt.Sprintf("Lab %d", id),
			Nodes: []*tailcfg.DERPNode{{
				Name: fmt.Sprintf("%da", id), RegionID: id, HostName: address, IPv4: address,
				STUNPort: r.stunPort, DERPPort: derpPort, InsecureForTests: true,
			}},
		}
	}
	return all, named
}

// obey runs "start N" and "stop N".
func (all regions) obey(verb, number string) error {
	id, err := strconv.Atoi(number)
	if err != nil || id < 1 || id > len(all) {
		return fmt.Errorf("no region %q", number)
	}
	switch verb {
	case "start":
		return all[id-1].start()
	case "stop":
		return all[id-1].stop()
	}
	return fmt.Errorf("start or stop, not %q", verb)
}
