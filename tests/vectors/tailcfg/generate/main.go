// SPDX-License-Identifier: BSD-3-Clause

// Writes the vectors of this folder: control messages as the reference marshals them.
// Run: go run . ..
package main

import (
	"encoding/json"
	"log"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"go4.org/mem"
	"tailscale.com/tailcfg"
	"tailscale.com/types/dnstype"
	"tailscale.com/types/key"
	"tailscale.com/types/opt"
)

func raw(n byte) mem.RO {
	b := make([]byte, 32)
	for i := range b {
		b[i] = n + byte(i)
	}
	return mem.B(b)
}
func node(n byte) key.NodePublic       { return key.NodePublicFromRaw32(raw(n)) }
func machine(n byte) key.MachinePublic { return key.MachinePublicFromRaw32(raw(n)) }
func disco(n byte) key.DiscoPublic     { return key.DiscoPublicFromRaw32(raw(n)) }
func pfx(s ...string) (out []netip.Prefix) {
	for _, p := range s {
		out = append(out, netip.MustParsePrefix(p))
	}
	return
}
func ap(s ...string) (out []netip.AddrPort) {
	for _, p := range s {
		out = append(out, netip.MustParseAddrPort(p))
	}
	return
}
func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		log.Fatal(err)
	}
	return t
}

func peer(id int64) *tailcfg.Node {
	n := byte(id)
	online := true
	return &tailcfg.Node{
		ID: tailcfg.NodeID(id), StableID: tailcfg.StableNodeID("n" + string('a'+rune(id)) + "CNTRL"),
		Name: "peer" + string('0'+rune(id)) + ".tail.example.", User: 7,
		Key: node(n), Machine: machine(n + 1), DiscoKey: disco(n + 2),
		KeyExpiry:  at("2027-05-23T10:11:12Z"),
		Addresses:  pfx("100.64.0."+string('0'+rune(id))+"/32", "fd7a:115c:a1e0::"+string('0'+rune(id))+"/128"),
		AllowedIPs: pfx("100.64.0."+string('0'+rune(id))+"/32", "fd7a:115c:a1e0::"+string('0'+rune(id))+"/128"),
		Endpoints:  ap("203.0.113.9:41641", "[2001:db8::9]:41641"),
		HomeDERP:   900, Cap: 142, Created: at("2026-01-02T03:04:05.678Z"), Online: &online,
		MachineAuthorized: true,
		Hostinfo: (&tailcfg.Hostinfo{OS: "linux", Hostname: "peer" + string('0'+rune(id)),
			Services: []tailcfg.Service{{Proto: tailcfg.PeerAPI4, Port: 45678}, {Proto: tailcfg.PeerAPIDNS, Port: 1}}}).View(),
	}
}

func hostinfo() *tailcfg.Hostinfo {
	return &tailcfg.Hostinfo{
		IPNVersion: "0.1.0-sallyport", BackendLogID: "00ff", OS: "linux", OSVersion: "6.12", Distro: "debian",
		DistroVersion: "12", App: "sallyport", Package: "deb", Hostname: "gw", Machine: "x86_64",
		ShieldsUp: true, NoLogsNoSupport: true,
		RoutableIPs: pfx("10.1.0.0/16", "0.0.0.0/0", "::/0"), RequestTags: []string{"tag:gw"},
		Services:  []tailcfg.Service{{Proto: tailcfg.PeerAPI4, Port: 40000}, {Proto: tailcfg.TCP, Port: 22, Description: "sshd"}},
		Userspace: opt.NewBool(false), UserspaceRouter: opt.NewBool(true), AppConnector: opt.NewBool(false),
		PeerRelay: true,
		NetInfo: &tailcfg.NetInfo{
			MappingVariesByDestIP: opt.NewBool(true), WorkingIPv6: opt.NewBool(false), OSHasIPv6: opt.NewBool(true),
			WorkingUDP: opt.NewBool(true), WorkingICMPv4: opt.NewBool(true), HavePortMap: true,
			UPnP: opt.NewBool(false), PMP: opt.NewBool(true), PCP: opt.NewBool(false),
			PreferredDERP: 900, LinkType: "wired", DERPLatency: map[string]float64{"900-v4": 0.0125, "900-v6": 0.25},
			FirewallMode: "nft-default",
		},
	}
}

func main() {
	dir := os.Args[1]
	put := func(name string, v any) {
		out, err := json.MarshalIndent(v, "", " ")
		if err != nil {
			log.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+".json"), append(out, '\n'), 0o644); err != nil {
			log.Fatal(err)
		}
	}

	self := peer(1)
	self.Name = "gw.tail.example."
	self.CapMap = tailcfg.NodeCapMap{"https://tailscale.com/cap/is-admin": nil, "funnel": {`{"ports":[443]}`, `7`}}
	self.Capabilities = []tailcfg.NodeCapability{"old-form"}
	self.PrimaryRoutes = pfx("10.1.0.0/16")
	self.Tags = []string{"tag:gw"}
	self.AllowedIPs = append(self.AllowedIPs, pfx("10.1.0.0/16")...)
	router := peer(2)
	router.AllowedIPs = append(router.AllowedIPs, pfx("192.168.7.0/24", "0.0.0.0/0", "::/0")...)
	router.Sharer = 8
	router.KeySignature = []byte{1, 2, 3, 250}
	wgonly := peer(3)
	v4, v6 := netip.MustParseAddr("172.16.9.9"), netip.MustParseAddr("fd00::9")
	wgonly.IsWireGuardOnly, wgonly.DiscoKey, wgonly.HomeDERP = true, key.DiscoPublic{}, 0
	wgonly.SelfNodeV4MasqAddrForThisPeer, wgonly.SelfNodeV6MasqAddrForThisPeer = &v4, &v6
	wgonly.ExitNodeDNSResolvers = []*dnstype.Resolver{{Addr: "10.64.0.1"}}
	wgonly.AllowedIPs = []netip.Prefix{} // there and empty
	jailed := peer(4)
	jailed.IsJailed, jailed.AllowedIPs = true, nil // absent
	seen := at("2026-11-24T11:42:04Z")
	jailed.LastSeen = &seen
	off := false
	jailed.Online = &off
	unsigned := peer(5)
	unsigned.UnsignedPeerAPIOnly, unsigned.Expired = true, true

	exit, controlTime := 3, at("2026-11-24T11:42:04.123456789Z")
	put("map_full", &tailcfg.MapResponse{
		Node: self, Peers: []*tailcfg.Node{router, wgonly, jailed, unsigned},
		DERPMap: &tailcfg.DERPMap{
			HomeParams: &tailcfg.DERPHomeParams{RegionScore: map[int]float64{900: 0.5}},
			Regions: map[int]*tailcfg.DERPRegion{900: {RegionID: 900, RegionCode: "lab", RegionName: "Lab", Avoid: true,
				NoMeasureNoHome: true, Nodes: []*tailcfg.DERPNode{{Name: "900a", RegionID: 900, HostName: "derp.example",
					CertName: "sha256-raw:00", IPv4: "192.0.2.1", IPv6: "none", STUNPort: -1, STUNOnly: true, DERPPort: 8443,
					InsecureForTests: true, STUNTestIP: "192.0.2.2", CanPort80: true}}}},
			OmitDefaultRegions: true,
		},
		DNSConfig: &tailcfg.DNSConfig{
			Resolvers:         []*dnstype.Resolver{{Addr: "https://dns.example/q", BootstrapResolution: []netip.Addr{v4}, UseWithExitNode: true}},
			Routes:            map[string][]*dnstype.Resolver{"corp.example.": {{Addr: "10.1.0.53"}}, "tail.example.": {}},
			FallbackResolvers: []*dnstype.Resolver{{Addr: "9.9.9.9"}}, Domains: []string{"tail.example"}, Proxied: true,
			CertDomains: []string{"gw.tail.example"}, ExtraRecords: []tailcfg.DNSRecord{{Name: "a.example", Type: "A", Value: "10.1.0.1"}},
			ExitNodeFilteredSet: []string{".internal"},
		},
		Domain: "example", CollectServices: opt.NewBool(false),
		PacketFilter: []tailcfg.FilterRule{
			{SrcIPs: []string{"*"}, DstPorts: []tailcfg.NetPortRange{{IP: "*", Ports: tailcfg.PortRangeAny}}},
			{SrcIPs: []string{"100.64.0.2", "100.64.1.0-100.64.1.9", "cap:admin"}, IPProto: []int{6, 17},
				DstPorts: []tailcfg.NetPortRange{{IP: "10.1.0.0/16", Ports: tailcfg.PortRange{First: 22, Last: 80}}}},
			{SrcIPs: []string{"fd7a:115c:a1e0::2"}, CapGrant: []tailcfg.CapGrant{{Dsts: pfx("100.64.0.1/32"),
				Caps: []tailcfg.PeerCapability{"x"}, CapMap: tailcfg.PeerCapMap{"example.com/cap": {`{"a":1}`}, "y": nil}}}},
		},
		UserProfiles: []tailcfg.UserProfile{{ID: 7, LoginName: "alice@example.com", DisplayName: "Alice", ProfilePicURL: "https://p", Groups: []string{"g"}}},
		Health:       []string{"something"},
		DisplayMessages: map[tailcfg.DisplayMessageID]*tailcfg.DisplayMessage{"m": {Title: "T", Text: "X", Severity: "high", ImpactsConnectivity: true,
			PrimaryAction: &tailcfg.DisplayMessageAction{URL: "https://u", Label: "L"}}},
		SSHPolicy:   &tailcfg.SSHPolicy{Rules: []*tailcfg.SSHRule{}},
		ControlTime: &controlTime, TKAInfo: &tailcfg.TKAInfo{Head: "head"},
		Debug:            &tailcfg.Debug{SleepSeconds: 1.5, DisableLogTail: true, Exit: &exit},
		ControlDialPlan:  &tailcfg.ControlDialPlan{Candidates: []tailcfg.ControlIPCandidate{{IP: v4, DialStartDelaySec: 0.5, DialTimeoutSec: 10, Priority: 5}, {IP: v6, ACEHost: "ace"}}},
		ClientVersion:    &tailcfg.ClientVersion{LatestVersion: "1.2", UrgentSecurityUpdate: true, Notify: true, NotifyURL: "https://n", NotifyText: "t"},
		MapSessionHandle: "h", Seq: 4, PopBrowserURL: "https://b",
	})
	put("map_keepalive", &tailcfg.MapResponse{KeepAlive: true, ControlTime: &controlTime,
		PingRequest: &tailcfg.PingRequest{URL: "https://c/ping", URLIsNoise: true, Log: true, Types: "c2n", IP: v4, Payload: []byte("GET /echo HTTP/1.1\r\n\r\n")}})
	nk, dk := node(40), disco(41)
	expiry := at("2030-01-01T00:00:00Z")
	put("map_delta", &tailcfg.MapResponse{
		PeersRemoved: []tailcfg.NodeID{3}, PeersChanged: []*tailcfg.Node{peer(6)},
		PeerSeenChange: map[tailcfg.NodeID]bool{2: true, 4: false}, OnlineChange: map[tailcfg.NodeID]bool{2: false},
		PeersChangedPatch: []*tailcfg.PeerChange{
			{NodeID: 2, DERPRegion: 901, Cap: 143, CapMap: tailcfg.NodeCapMap{"c": nil}, Endpoints: ap("198.51.100.7:1"), Key: &nk,
				KeySignature: []byte{9}, DiscoKey: &dk, Online: &off, LastSeen: &seen, KeyExpiry: &expiry},
			{NodeID: 4, Endpoints: ap()},
		},
		PacketFilters: map[string][]tailcfg.FilterRule{"*": nil, "gone": nil, "base": {}, "web": {{SrcIPs: []string{"*"},
			DstPorts: []tailcfg.NetPortRange{{IP: "10.1.2.3", Ports: tailcfg.PortRange{First: 443, Last: 443}}}}}},
		DisplayMessages: map[tailcfg.DisplayMessageID]*tailcfg.DisplayMessage{"*": nil, "m": nil},
		DERPMap:         &tailcfg.DERPMap{HomeParams: &tailcfg.DERPHomeParams{RegionScore: map[int]float64{1: 2}}},
	})
	put("map_legacy", map[string]any{"Node": map[string]any{"ID": 1, "StableID": "s", "Name": "a.b.", "User": 0, "Key": node(1),
		"Addresses": nil, "DERP": "127.3.3.40:17", "AllowedIPs": nil}, "Peers": nil, "PacketFilter": []int{}, "Health": []int{}})
	put("map_request", &tailcfg.MapRequest{Version: 119, Compress: "zstd", KeepAlive: true, NodeKey: node(1), DiscoKey: disco(2), Stream: true,
		Hostinfo: hostinfo(), Endpoints: ap("192.0.2.1:41000", "[2001:db8::1]:41000"),
		EndpointTypes: []tailcfg.EndpointType{tailcfg.EndpointSTUN, tailcfg.EndpointLocal}, TKAHead: "x", ReadOnly: true, OmitPeers: true, DebugFlags: []string{"warn-ip-forwarding-off"}})
	put("register_request", &tailcfg.RegisterRequest{Version: 119, NodeKey: node(1), OldNodeKey: node(2), Auth: &tailcfg.RegisterResponseAuth{AuthKey: "tskey-auth-x-y"},
		Expiry: time.Unix(123, 0).UTC(), Followup: "https://login/a", Hostinfo: hostinfo(), Ephemeral: true, NodeKeySignature: []byte{1, 2}, Tailnet: "t"})
	put("register_request_plain", &tailcfg.RegisterRequest{Version: 119, NodeKey: node(1), Hostinfo: &tailcfg.Hostinfo{}})
	put("register_response", &tailcfg.RegisterResponse{User: tailcfg.User{ID: 7, DisplayName: "Alice", ProfilePicURL: "https://p", Created: at("2026-01-02T03:04:05Z")},
		Login:   tailcfg.Login{ID: 9, Provider: "oidc", LoginName: "alice@example.com", DisplayName: "Alice", ProfilePicURL: "https://p"},
		AuthURL: "https://login/a", NodeKeyExpired: true, MachineAuthorized: true, NodeKeySignature: []byte{5}, Error: "no"})
	put("server_keys", &tailcfg.OverTLSPublicKeyResponse{PublicKey: machine(9)})
	put("early_noise", &tailcfg.EarlyNoise{NodeKeyChallenge: key.NewChallenge().Public()})
	put("ping_response", &tailcfg.PingResponse{Type: "disco", IP: "100.64.0.2", NodeIP: "100.64.0.2", NodeName: "peer2", Err: "e", LatencySeconds: 0.5,
		Endpoint: "203.0.113.9:41641", PeerRelay: "r", DERPRegionID: 900, DERPRegionCode: "lab", PeerAPIPort: 45678, IsLocalIP: true})
}
