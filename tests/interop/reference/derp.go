// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"

	"tailscale.com/derp/derpserver"
	"tailscale.com/net/stunserver"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
)

// region is one DERP server and one STUN server on an address. Both may go and come back on the same
// ports, as a machine does: new servers with the same key.
type region struct {
	private key.NodePrivate
	plain   bool
	derpAt  string
	stunAt  string
	derp    *derpserver.Server
	web     *httptest.Server
	endStun context.CancelFunc
}

func newRegion(address string, plain bool) (*region, error) {
	anyPort := net.JoinHostPort(address, "0")
	r := &region{private: key.NewNode(), plain: plain, derpAt: anyPort, stunAt: anyPort}
	return r, r.start()
}

func portOf(address string) int {
	_, port, _ := net.SplitHostPort(address)
	number, _ := strconv.Atoi(port)
	return number
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
	if !r.plain { // as derper does
		shown := &r.web.TLS.Certificates[0]
		shown.Certificate = append(slices.Clip(shown.Certificate), r.derp.MetaCert())
	}

	ctx, end := context.WithCancel(context.Background())
	stun := stunserver.New(ctx)
	if err := stun.Listen(r.stunAt); err != nil {
		end()
		return err
	}
	r.stunAt = stun.LocalAddr().String()
	r.endStun = end
	go stun.Serve()
	return nil
}

func (r *region) stop() error {
	if r.web == nil {
		return fmt.Errorf("does not run")
	}
	r.web.Listener.Close()
	r.web.CloseClientConnections()
	r.derp.Close() // the connections that were handed on to it
	r.endStun()
	r.web = nil
	return nil
}

// regions are numbered from 1 in the order of their addresses.
type regions []*region

func startRegions(addresses []string, plain bool) (regions, *tailcfg.DERPMap) {
	var all regions
	named := &tailcfg.DERPMap{OmitDefaultRegions: true, Regions: map[int]*tailcfg.DERPRegion{}}
	for i, address := range addresses {
		r, err := newRegion(address, plain)
		if err != nil {
			log.Fatal(err)
		}
		all = append(all, r)
		id := i + 1
		named.Regions[id] = &tailcfg.DERPRegion{
			RegionID: id, RegionCode: fmt.Sprintf("lab%d", id), RegionName: fmt.Sprintf("Lab %d", id),
			Nodes: []*tailcfg.DERPNode{{
				Name: fmt.Sprintf("%da", id), RegionID: id, HostName: address, IPv4: address,
				STUNPort: portOf(r.stunAt), DERPPort: portOf(r.derpAt), InsecureForTests: true,
			}},
		}
	}
	return all, named
}

// certificate is what a client may know the server by; it is good for example.com and 127.0.0.1.
type certificate struct {
	PEM string `json:"pem"`
	Pin string `json:"pin"` // as DERPNode.CertName has it
}

func (r *region) certificate() (certificate, error) {
	if r.web == nil {
		return certificate{}, fmt.Errorf("does not run")
	}
	der := r.web.Certificate().Raw
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return certificate{string(text), fmt.Sprintf("sha256-raw:%x", sha256.Sum256(der))}, nil
}

// obey runs "start N", "stop N" and "certificate N".
func (all regions) obey(verb, number string) (any, error) {
	id, err := strconv.Atoi(number)
	if err != nil || id < 1 || id > len(all) {
		return nil, fmt.Errorf("no region %q", number)
	}
	switch verb {
	case "start":
		return nil, all[id-1].start()
	case "stop":
		return nil, all[id-1].stop()
	case "certificate":
		return all[id-1].certificate()
	}
	return nil, fmt.Errorf("start, stop or certificate, not %q", verb)
}
