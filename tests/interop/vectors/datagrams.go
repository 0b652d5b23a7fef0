// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"encoding/hex"
	"log"
	"net/netip"
	"time"

	tsdisco "tailscale.com/disco"
	"tailscale.com/net/packet"
	tsstun "tailscale.com/net/stun"
	"tailscale.com/types/ipproto"
	"tailscale.com/types/key"
)

// private is a key of 32 bytes that count up from start, as any key of its kind.
func nodePrivate(start byte) key.NodePrivate {
	random(start)
	return key.NewNode()
}

func discoPrivate(start byte) key.DiscoPrivate {
	random(start)
	return key.NewDisco()
}

func machinePrivate(start byte) key.MachinePrivate {
	random(start)
	return key.NewMachine()
}

func keys() *file {
	f := newFile("keys")
	node, machine, disco := nodePrivate(0x10), machinePrivate(0x20), discoPrivate(0x30)
	f.quoted("node.private", string(must(node.MarshalText())))
	f.quoted("node.public", node.Public().String())
	f.quoted("node.short", node.Public().ShortString())
	f.quoted("machine.private", string(must(machine.MarshalText())))
	f.quoted("machine.public", machine.Public().String())
	f.quoted("disco.public", disco.Public().String())
	f.quoted("disco.short", disco.Public().ShortString())
	random(0x40)
	f.quoted("challenge.public", key.NewChallenge().Public().String())
	var lock key.NLPrivate
	// RFC 8032 7.1, test 1.
	seed := "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
	public := "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
	if err := lock.UnmarshalText([]byte("nlpriv:" + seed + public)); err != nil {
		log.Fatal(err)
	}
	f.quoted("lock.private", string(must(lock.MarshalText())))
	f.quoted("lock.public", string(must(lock.Public().MarshalText())))
	f.quoted("lock.shown", lock.Public().CLIString())
	var mapped key.NodePublic
	f.quoted("node.zero", mapped.String())
	return f
}

func addrPorts() []netip.AddrPort {
	return []netip.AddrPort{
		netip.MustParseAddrPort("192.0.2.7:41641"),
		netip.MustParseAddrPort("[2001:db8::7]:443"),
	}
}

func relayEndpoint() tsdisco.UDPRelayEndpoint {
	return tsdisco.UDPRelayEndpoint{
		ServerDisco:         discoPrivate(0x50).Public(),
		ClientDisco:         [2]key.DiscoPublic{discoPrivate(0x30).Public(), discoPrivate(0x40).Public()},
		LamportID:           0x0102030405060708,
		VNI:                 0x00a1b2c3,
		BindLifetime:        30 * time.Second,
		SteadyStateLifetime: 5 * time.Minute,
		AddrPorts:           addrPorts(),
	}
}

func disco() *file {
	f := newFile("disco")
	sender, receiver := discoPrivate(0x30), discoPrivate(0x40)
	tx := [12]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
	common := tsdisco.BindUDPRelayEndpointCommon{VNI: 0x00a1b2c3, Generation: 0x01020304, RemoteKey: receiver.Public()}
	withChallenge := common
	for i := range withChallenge.Challenge {
		withChallenge.Challenge[i] = byte(0xc0 + i)
	}
	messages := []struct {
		name    string
		message tsdisco.Message
	}{
		{"ping", &tsdisco.Ping{TxID: tx, NodeKey: nodePrivate(0x10).Public()}},
		{"ping.anonymous", &tsdisco.Ping{TxID: tx}},
		{"ping.padded", &tsdisco.Ping{TxID: tx, NodeKey: nodePrivate(0x10).Public(), Padding: 5}},
		{"pong.v4", &tsdisco.Pong{TxID: tx, Src: addrPorts()[0]}},
		{"pong.v6", &tsdisco.Pong{TxID: tx, Src: addrPorts()[1]}},
		{"call_me_maybe", &tsdisco.CallMeMaybe{MyNumber: addrPorts()}},
		{"call_me_maybe.empty", &tsdisco.CallMeMaybe{}},
		{"relay.bind", &tsdisco.BindUDPRelayEndpoint{BindUDPRelayEndpointCommon: common}},
		{"relay.challenge", &tsdisco.BindUDPRelayEndpointChallenge{BindUDPRelayEndpointCommon: withChallenge}},
		{"relay.answer", &tsdisco.BindUDPRelayEndpointAnswer{BindUDPRelayEndpointCommon: withChallenge}},
		{"call_me_maybe_via", &tsdisco.CallMeMaybeVia{UDPRelayEndpoint: relayEndpoint()}},
		{"allocate.request", &tsdisco.AllocateUDPRelayEndpointRequest{
			ClientDisco: [2]key.DiscoPublic{sender.Public(), receiver.Public()}, Generation: 7}},
		{"allocate.response", &tsdisco.AllocateUDPRelayEndpointResponse{Generation: 7, UDPRelayEndpoint: relayEndpoint()}},
	}
	shared := sender.Shared(receiver.Public())
	for _, m := range messages {
		plain := m.message.AppendMarshal(nil)
		f.hex("message."+m.name, plain)
		datagram := sender.Public().AppendTo([]byte(tsdisco.Magic))
		random(0x60) // the nonce
		f.hex("datagram."+m.name, append(datagram, shared.Seal(plain)...))
	}
	return f
}

func stun() *file {
	f := newFile("stun")
	tx := tsstun.TxID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
	f.hex("request", tsstun.Request(tx))
	f.hex("response.v4", tsstun.Response(tx, addrPorts()[0]))
	f.hex("response.v6", tsstun.Response(tx, addrPorts()[1]))
	// No writer of these is in the module; its reader takes them.
	for name, text := range map[string]string{
		"response.plain":   "0101000c2112a4420102030405060708090a0b0c" + "000100080001a2a9c0000207",
		"response.xor_alt": "0101000c2112a4420102030405060708090a0b0c" + "802000080001" + "83bb" + "e112a645",
	} {
		data := must(hex.DecodeString(text))
		got, addr, err := tsstun.ParseResponse(data)
		if err != nil || got != tx || addr != addrPorts()[0] {
			log.Fatalf("%s: %v %v %v", name, got, addr, err)
		}
	}
	f.hex("response.plain", must(hex.DecodeString("0101000c2112a4420102030405060708090a0b0c000100080001a2a9c0000207")))
	f.hex("response.xor_alt", must(hex.DecodeString("0101000c2112a4420102030405060708090a0b0c80200008000183bbe112a645")))
	return f
}

func geneve() *file {
	f := newFile("geneve")
	for _, h := range []struct {
		name string
		head packet.GeneveHeader
	}{
		{"disco.control", packet.GeneveHeader{Protocol: packet.GeneveProtocolDisco, Control: true}},
		{"disco", packet.GeneveHeader{Protocol: packet.GeneveProtocolDisco}},
		{"wireguard", packet.GeneveHeader{Protocol: packet.GeneveProtocolWireGuard}},
	} {
		h.head.VNI.Set(0xa1b2c3)
		out := make([]byte, packet.GeneveFixedHeaderLength)
		if err := h.head.Encode(out); err != nil {
			log.Fatal(err)
		}
		f.hex(h.name, out)
	}
	return f
}

func tsmp() *file {
	f := newFile("tsmp")
	for _, family := range []struct {
		name     string
		src, dst netip.Addr
	}{
		{"v4", netip.MustParseAddr("100.64.0.1"), netip.MustParseAddr("100.64.0.2")},
		{"v6", netip.MustParseAddr("fd7a:115c:a1e0::1"), netip.MustParseAddr("fd7a:115c:a1e0::2")},
	} {
		var head packet.Header = packet.IP4Header{IPProto: ipproto.TSMP, Src: family.src, Dst: family.dst}
		if family.src.Is6() {
			head = packet.IP6Header{IPProto: ipproto.TSMP, Src: family.src, Dst: family.dst}
		}
		add := func(name string, data []byte) {
			var parsed packet.Parsed
			parsed.Decode(data)
			if parsed.IPProto != ipproto.TSMP {
				log.Fatalf("%s: %v", name, parsed.IPProto)
			}
			f.hex(name+"."+family.name, data)
		}
		f8 := [8]byte{1, 2, 3, 4, 5, 6, 7, 8}
		add("ping", packet.Generate(head, append([]byte{byte(packet.TSMPTypePing)}, f8[:]...)))
		pong := packet.TSMPPongReply{IPHeader: head, Data: f8, PeerAPIPort: 0x8123}
		out := make([]byte, pong.Len())
		if err := pong.Marshal(out); err != nil {
			log.Fatal(err)
		}
		add("pong", out)
		for _, broken := range []bool{false, true} {
			// The rejected flow's source is the receiver of the message.
			reject := packet.TailscaleRejectedHeader{
				IPSrc: family.src, IPDst: family.dst,
				Src: netip.AddrPortFrom(family.dst, 0x1234), Dst: netip.AddrPortFrom(family.src, 443),
				Proto: ipproto.TCP, Reason: packet.RejectedDueToACLs, MaybeBroken: broken,
			}
			out := make([]byte, reject.Len())
			if err := reject.Marshal(out); err != nil {
				log.Fatal(err)
			}
			name := "reject"
			if broken {
				name = "reject.maybe_broken"
			}
			add(name, out)
		}
		news := packet.TSMPDiscoKeyAdvertisement{Src: family.src, Dst: family.dst, Key: discoPrivate(0x30).Public()}
		add("disco_key", must(news.Marshal()))
	}
	return f
}
