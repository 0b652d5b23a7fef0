// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"tailscale.com/client/local"
	"tailscale.com/ipn"
	"tailscale.com/tailcfg"
	"tailscale.com/tsnet"
)

type node struct {
	server *tsnet.Server
	client *local.Client
	flows  map[string]flow
}

func (n *node) obey(o *order) (any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), o.limit())
	defer cancel()
	if o.Do != "up" && n.client == nil {
		return nil, fmt.Errorf("not up")
	}
	switch o.Do {
	case "up":
		return n.up(ctx, o)
	case "prefs":
		return nil, n.prefer(ctx, o)
	case "status":
		return n.client.Status(ctx)
	case "rebind": // as after a change of the links
		return nil, n.client.DebugAction(ctx, "rebind")
	case "restun":
		return nil, n.client.DebugAction(ctx, "restun")
	case "ping":
		return n.ping(ctx, o)
	case "get":
		return n.get(ctx, o)
	case "echo":
		return n.echo(ctx, o)
	case "datagrams":
		return n.datagrams(ctx, o)
	case "listen":
		return n.listen(ctx, o)
	case "ask":
		return n.ask(ctx, o)
	case "start": // a flow that goes on until it is stopped
		return nil, n.start(ctx, o)
	case "now", "stop":
		return n.report(o)
	case "down":
		return nil, n.server.Close()
	}
	return nil, fmt.Errorf("no such verb")
}

type self struct {
	IPs []netip.Addr `json:"ips"`
	Key string       `json:"key"`
}

func (n *node) up(ctx context.Context, o *order) (*self, error) {
	n.server.ControlURL, n.server.AuthKey, n.server.Hostname = o.URL, o.AuthKey, o.Hostname
	if err := n.server.Start(); err != nil {
		return nil, err
	}
	client, err := n.server.LocalClient()
	if err != nil {
		return nil, err
	}
	n.client = client
	if err := n.prefer(ctx, o); err != nil {
		return nil, err
	}
	status, err := n.server.Up(ctx)
	if err != nil {
		return nil, err
	}
	return &self{status.TailscaleIPs, status.Self.PublicKey.String()}, nil
}

func (n *node) prefer(ctx context.Context, o *order) error {
	prefs := &ipn.MaskedPrefs{RouteAllSet: true, ExitNodeIPSet: true}
	prefs.RouteAll = o.AcceptRoutes
	if o.ExitNode != "" {
		ip, err := netip.ParseAddr(o.ExitNode)
		if err != nil {
			return err
		}
		prefs.ExitNodeIP = ip
	}
	_, err := n.client.EditPrefs(ctx, prefs)
	return err
}

type reply struct {
	RTTms    float64 `json:"rtt_ms"`
	Endpoint string  `json:"endpoint"` // empty: by DERP
	DERP     int     `json:"derp"`
}

func (n *node) ping(ctx context.Context, o *order) (*reply, error) {
	to, err := netip.ParseAddr(o.To)
	if err != nil {
		return nil, err
	}
	kinds := map[string]tailcfg.PingType{
		"disco": tailcfg.PingDisco, "tsmp": tailcfg.PingTSMP, "icmp": tailcfg.PingICMP}
	kind, ok := kinds[o.Type]
	if !ok {
		return nil, fmt.Errorf("no such type %q", o.Type)
	}
	result, err := n.client.Ping(ctx, to, kind)
	if err != nil {
		return nil, err
	}
	if result.Err != "" {
		return nil, fmt.Errorf("%s", result.Err)
	}
	return &reply{
		RTTms:    result.LatencySeconds * float64(time.Second/time.Millisecond),
		Endpoint: result.Endpoint,
		DERP:     result.DERPRegionID,
	}, nil
}
