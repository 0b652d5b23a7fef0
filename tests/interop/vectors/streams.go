// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"log"
	"net"
	"strings"
	"sync"
	"time"

	"tailscale.com/control/controlbase"
	tsderp "tailscale.com/derp"
	"tailscale.com/derp/derpserver"
	"tailscale.com/types/key"
	"tailscale.com/util/zstdframe"
)

// tap is a connection that keeps what was read from it.
type tap struct {
	net.Conn
	mu   sync.Mutex
	read bytes.Buffer
}

func (t *tap) Read(out []byte) (int, error) {
	n, err := t.Conn.Read(out)
	t.mu.Lock()
	t.read.Write(out[:n])
	t.mu.Unlock()
	return n, err
}

func noise() *file {
	f := newFile("noise")
	machine, control := machinePrivate(0x20), machinePrivate(0x70)
	f.quoted("machine.private", string(must(machine.MarshalText())))
	f.quoted("control.private", string(must(control.MarshalText())))
	const version = 142

	clientSide, serverSide := net.Pipe()
	client, server := &tap{Conn: clientSide}, &tap{Conn: serverSide}
	random(0x80) // the client's ephemeral key
	initiation, proceed, err := controlbase.ClientDeferred(machine, control.Public(), version)
	if err != nil {
		log.Fatal(err)
	}
	f.quoted("machine.ephemeral", string(must(machinePrivate(0x80).MarshalText())))
	f.quoted("control.ephemeral", string(must(machinePrivate(0x90).MarshalText())))
	f.hex("initiation", initiation)

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	random(0x90)
	type accepted struct {
		conn *controlbase.Conn
		err  error
	}
	done := make(chan accepted, 1)
	go func() {
		conn, err := controlbase.Server(ctx, server, control, initiation)
		done <- accepted{conn, err}
	}()
	clientConn := must(proceed(ctx, client))
	got := <-done
	if got.err != nil {
		log.Fatal(got.err)
	}
	serverConn := got.conn
	f.hex("response", client.read.Bytes())
	if clientConn.HandshakeHash() != serverConn.HandshakeHash() {
		log.Fatal("hashes differ")
	}
	hash := clientConn.HandshakeHash()
	f.hex("handshake_hash", hash[:])

	// Two records each way, so that the counter in the nonce counts.
	send := func(from, to *controlbase.Conn, at *tap, name, text string) {
		at.mu.Lock()
		at.read.Reset()
		at.mu.Unlock()
		go from.Write([]byte(text))
		plain := make([]byte, len(text))
		if _, err := io.ReadFull(to, plain); err != nil || string(plain) != text {
			log.Fatal(name, err)
		}
		f.hex(name, at.read.Bytes())
	}
	send(clientConn, serverConn, server, "record.client.0", "first of the client")
	send(clientConn, serverConn, server, "record.client.1", "second of the client")
	send(serverConn, clientConn, client, "record.server.0", "first of the server")
	send(serverConn, clientConn, client, "record.server.1", "second of the server")
	send(clientConn, serverConn, server, "record.client.long", strings.Repeat("x", 4077))

	// What the server says to an initiation that is none.
	clientSide, serverSide = net.Pipe()
	errText := &tap{Conn: clientSide}
	go func() {
		controlbase.Server(ctx, serverSide, control, []byte("short"))
		serverSide.Close()
	}()
	io.Copy(io.Discard, errText)
	f.hex("error", errText.read.Bytes())
	return f
}

// frames splits a DERP stream.
func frames(stream []byte) (out [][]byte) {
	for len(stream) >= tsderp.FrameHeaderLen {
		size := tsderp.FrameHeaderLen + int(binary.BigEndian.Uint32(stream[1:]))
		if size > len(stream) {
			break
		}
		out = append(out, stream[:size])
		stream = stream[size:]
	}
	return out
}

// recorder is the client's half of a connection whose writes are only kept.
type recorder struct {
	net.Conn
	written bytes.Buffer
}

func (r *recorder) Write(data []byte) (int, error)   { return r.written.Write(data) }
func (r *recorder) Close() error                     { return nil }
func (r *recorder) SetDeadline(time.Time) error      { return nil }
func (r *recorder) SetReadDeadline(time.Time) error  { return nil }
func (r *recorder) SetWriteDeadline(time.Time) error { return nil }

func derpFromClient(f *file, server key.NodePrivate) {
	mesh := must(key.ParseDERPMesh(strings.Repeat("5a", 32)))
	peer := nodePrivate(0xb0).Public()
	conn := &recorder{}
	buffered := bufio.NewReadWriter(bufio.NewReader(bytes.NewReader(nil)), bufio.NewWriter(conn))
	private := nodePrivate(0xa0)
	random(0x60) // the nonce
	client := must(tsderp.NewClient(private, conn, buffered, log.Printf,
		tsderp.ServerPublicKey(server.Public()), tsderp.CanAckPings(true), tsderp.IsProber(true),
		tsderp.MeshKey(mesh), tsderp.AppName("vectors")))
	take := func(name string, err error) {
		if err != nil {
			log.Fatal(name, err)
		}
		f.hex(name, conn.written.Bytes())
		conn.written.Reset()
	}
	take("client_info", nil)
	take("send_packet", client.Send(peer, []byte("packet")))
	take("forward_packet", client.ForwardPacket(private.Public(), peer, []byte("packet")))
	take("note_preferred", client.NotePreferred(true))
	take("note_preferred.not", client.NotePreferred(false))
	take("watch_conns", client.WatchConnectionChanges())
	take("close_peer", client.ClosePeer(peer))
	take("ping", client.SendPing([8]byte{1, 2, 3, 4, 5, 6, 7, 8}))
	take("pong", client.SendPong([8]byte{1, 2, 3, 4, 5, 6, 7, 8}))
}

// attach makes a client of the server and gives all frames that the server sends to it.
func attach(server *derpserver.Server, private key.NodePrivate, opts ...tsderp.ClientOpt) (*tsderp.Client, *tap) {
	clientSide, serverSide := net.Pipe()
	go server.Accept(context.Background(), serverSide,
		bufio.NewReadWriter(bufio.NewReader(serverSide), bufio.NewWriter(serverSide)), "192.0.2.7:41641")
	conn := &tap{Conn: clientSide}
	client := must(tsderp.NewClient(private, conn,
		bufio.NewReadWriter(bufio.NewReader(conn), bufio.NewWriter(conn)), func(string, ...any) {}, opts...))
	return client, conn
}

// await reads until a message of the type arrives.
func await[T tsderp.ReceivedMessage](client *tsderp.Client) T {
	for {
		if message, ok := must(client.Recv()).(T); ok {
			return message
		}
	}
}

func lastOf(conn *tap, frameType tsderp.FrameType) []byte {
	conn.mu.Lock()
	defer conn.mu.Unlock()
	var found []byte
	for _, frame := range frames(conn.read.Bytes()) {
		if tsderp.FrameType(frame[0]) == frameType {
			found = frame
		}
	}
	if found == nil {
		log.Fatalf("no frame of type %#x", byte(frameType))
	}
	return found
}

func derpFromServer(f *file, private key.NodePrivate) {
	server := derpserver.New(private, func(string, ...any) {})
	defer server.Close()
	meshKey := strings.Repeat("5a", 32)
	if err := server.SetMeshKey(meshKey); err != nil {
		log.Fatal(err)
	}
	a, b, m := nodePrivate(0xa0), nodePrivate(0xb0), nodePrivate(0xc0)
	random(0x60) // nonces
	clientA, connA := attach(server, a)
	await[tsderp.ServerInfoMessage](clientA)
	f.hex("server_key", lastOf(connA, tsderp.FrameServerKey))
	f.hex("server_info", lastOf(connA, tsderp.FrameServerInfo))
	watcher, connM := attach(server, m, tsderp.MeshKey(must(key.ParseDERPMesh(meshKey))))
	await[tsderp.ServerInfoMessage](watcher)
	if err := watcher.WatchConnectionChanges(); err != nil {
		log.Fatal(err)
	}
	clientB, connB := attach(server, b)
	await[tsderp.ServerInfoMessage](clientB)
	for await[tsderp.PeerPresentMessage](watcher).Key != b.Public() {
	}
	f.hex("peer_present", lastOf(connM, tsderp.FramePeerPresent))

	if err := clientB.Send(a.Public(), []byte("packet")); err != nil {
		log.Fatal(err)
	}
	await[tsderp.ReceivedPacket](clientA)
	f.hex("recv_packet", lastOf(connA, tsderp.FrameRecvPacket))
	// To nobody: the server answers to disco only.
	random(0x60)
	if err := clientB.Send(nodePrivate(0xd0).Public(), discoDatagram()); err != nil {
		log.Fatal(err)
	}
	await[tsderp.PeerGoneMessage](clientB)
	f.hex("peer_gone.not_here", lastOf(connB, tsderp.FramePeerGone))
	connB.Conn.Close()
	await[tsderp.PeerGoneMessage](clientA)
	f.hex("peer_gone.disconnected", lastOf(connA, tsderp.FramePeerGone))
}

func discoDatagram() []byte {
	sender, receiver := discoPrivate(0x30), discoPrivate(0x40)
	random(0x60)
	return append(sender.Public().AppendTo([]byte("TS💬")), sender.Shared(receiver.Public()).Seal([]byte{1, 0})...)
}

// derpRead are frames that the server sends only when all is not well: the module's client reads
// them here.
func derpRead(f *file, server key.NodePrivate) {
	for _, c := range []struct {
		name string
		kind tsderp.FrameType
		body []byte
		want tsderp.ReceivedMessage
	}{
		{"keep_alive", tsderp.FrameKeepAlive, nil, tsderp.KeepAliveMessage{}},
		{"health", tsderp.FrameHealth, []byte("duplicate"), tsderp.HealthMessage{Problem: "duplicate"}},
		{"health.well", tsderp.FrameHealth, nil, tsderp.HealthMessage{}},
		{"restarting", tsderp.FrameRestarting, []byte{0, 0, 0x27, 0x10, 0, 0, 0x13, 0x88},
			tsderp.ServerRestartingMessage{ReconnectIn: 10 * time.Second, TryFor: 5 * time.Second}},
	} {
		var stream bytes.Buffer
		writer := bufio.NewWriter(&stream)
		if err := tsderp.WriteFrame(writer, c.kind, c.body); err != nil {
			log.Fatal(err)
		}
		f.hex(c.name, bytes.Clone(stream.Bytes()))
		client := must(tsderp.NewClient(nodePrivate(0xa0), &recorder{},
			bufio.NewReadWriter(bufio.NewReader(&stream), bufio.NewWriter(io.Discard)), log.Printf,
			tsderp.ServerPublicKey(server.Public())))
		if got := must(client.Recv()); got != c.want {
			log.Fatalf("%s: %#v", c.name, got)
		}
	}
}

func derp() *file {
	f := newFile("derp")
	server := nodePrivate(0xe0)
	f.quoted("server.private", string(must(server.MarshalText())))
	f.quoted("client.private", string(must(nodePrivate(0xa0).MarshalText())))
	f.quoted("peer.private", string(must(nodePrivate(0xb0).MarshalText())))
	f.quoted("nobody.private", string(must(nodePrivate(0xd0).MarshalText())))
	derpFromClient(f, server)
	derpFromServer(f, server)
	derpRead(f, server)
	return f
}

// mapFrame are bodies as the module's control server frames them.
func mapFrame() *file {
	f := newFile("map_frame")
	add := func(name, json string) {
		compressed := zstdframe.AppendEncode(nil, []byte(json), zstdframe.FastestCompression)
		f.hex(name, append(binary.LittleEndian.AppendUint32(nil, uint32(len(compressed))), compressed...))
	}
	add("keep_alive", `{"KeepAlive":true}`)
	add("empty", "")
	add("repeats", `{"Domain":"`+strings.Repeat("abcdefgh", 512)+`"}`)
	return f
}
